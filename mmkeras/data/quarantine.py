"""Rows that cannot be used: each is reported with its line and the reason."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.storage.files import write_bytes
from mmkeras.storage.privacy import redaction

__all__ = ["BadRow", "check_share", "reasons", "write_report"]


@dataclass(frozen=True)
class BadRow:
    """One row in quarantine."""

    origin: str
    """Its place: ``table.csv:17``."""
    key: str
    split: str
    """The split of the row; empty where unknown."""
    part: str
    """The modality, ``target`` or ``row``."""
    reason: str
    """Expected and got."""


def write_report(path: Path, rows: Sequence[BadRow]) -> None:
    """Write the rows as CSV with a header line."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([field.name for field in fields(BadRow)])
    writer.writerows(astuple(_redacted(row)) for row in rows)
    write_bytes(path, text.getvalue().encode(errors="backslashreplace"))


def reasons(rows: Sequence[BadRow]) -> dict[str, int]:
    """Count the rows by reason, most frequent first; names, paths and numbers in a reason are replaced."""
    counts = Counter(f"{row.part}: {_kind(row.reason)}" for row in rows)
    return dict(counts.most_common())


def check_share(rows: Sequence[BadRow], checked: int, total: int, largest: float, report: Path) -> None:
    """Stop the conversion when the bad rows are more than the accepted share of all rows.

    ``checked`` rows of ``total`` are read so far. All bad rows are written to ``report`` before the error.

    Raises:
        DataError: too many bad rows; lists reasons by count and the first examples.
    """
    if len(rows) <= largest * total:
        return
    write_report(report, rows)
    lines = [
        f"{len(rows)} of {checked} checked rows cannot be used; data.max_bad_share accepts {largest:.1%} of "
        f"all {total}:",
        *(f"  {count} x {reason}" for reason, count in list(reasons(rows).items())[:8]),
        "First of them:",
        *(f"  {row.origin}: {row.part}: {row.reason}" for row in map(_redacted, rows[:5])),
        f"All found so far: {report}",
        "Correct the rows, or raise data.max_bad_share to leave them out.",
    ]
    raise DataError("\n".join(lines))


def _redacted(row: BadRow) -> BadRow:
    """Return a row with its key and values redacted as ``privacy.redact`` says; its place stays."""
    now = redaction()
    return replace(row, key=now.name(row.key), reason=now.about(row.reason, [row.key]))


def _kind(reason: str) -> str:
    """Return a reason without the parts that differ from row to row: quoted values, paths before a colon, numbers."""
    # Cut first: the patterns would take hours on a cell of 100,000 letters.
    first = (reason.splitlines() or [""])[0][:400].split("; did you mean")[0].split("; Valid:")[0]
    first = re.sub(r"^\S*[/\\]?\S+\.\w{1,5}: |^image of \d+ bytes: ", "", first)
    first = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", first)
    return re.sub(r"\d+", "N", first)[:120]
