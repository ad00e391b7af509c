"""What a benchmark says of a bundle: how fast each file is, beside what verification found, and against an older one.

The figures of speed are measured here and now. Metric, flips, worst scenario and verdict are those of the export, which
had the data. No TensorFlow.
"""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import DataError
from mmkeras.core.typed import parse_json
from mmkeras.runtime.benchmark import Timing
from mmkeras.runtime.side_files import EXPORT, read_side_file

__all__ = ["Regression", "read_report", "regressions", "report"]

WATCHED = {"p50_ms": "median time", "bytes": "size", "peak_mib": "peak memory"}
"""What a baseline is compared in: less is better."""


def report(
    bundle: Bundle,
    files: Sequence[ExportedFile],
    timings: Sequence[Timing],
    failed: Mapping[str, str],
    skipped: Sequence[str],
) -> dict[str, Any]:
    """Return what ``benchmark.json`` holds: its schema is ``mmkeras/schemas/benchmark.schema.json``.

    Args:
        bundle: what was measured.
        files: those that were to be measured.
        timings: of those that could be.
        failed: why, by path, of the others.
        skipped: what was left out, with the reason.
    """
    verified = {str(entry.get("path")): entry for entry in _entries(read_side_file(bundle, EXPORT).get("files"))}
    measured = {timing.path: dataclasses.asdict(timing) for timing in timings}
    rows = []
    for file in files:
        row = {"format": file.format, "precision": file.precision, "path": file.path, "bytes": file.bytes}
        row |= {"error": failed.get(file.path, ""), "accepted": file.accepted}
        rows.append(row | measured.get(file.path, {}) | _proof(verified.get(file.path, {}), bundle.task.metric_sign))
    return {
        "schema_version": 1,
        "bundle": str(bundle.place),
        "name": bundle.manifest.name,
        "version": bundle.manifest.version,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"platform": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "metric_name": bundle.task.metric,
        "files": rows,
        "skipped": list(skipped),
    }


def _entries(value: Any) -> Iterable[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _proof(entry: Mapping[str, Any], sign: int) -> dict[str, Any]:
    """Return what verification found on one file; the worst scenario is the one that loses most of the metric."""
    scenarios = entry.get("scenarios")
    changes = {
        name: sign * change
        for name, found in (scenarios.items() if isinstance(scenarios, dict) else ())
        if isinstance(found, dict) and isinstance(change := found.get("metric_change"), (int, float))
    }
    worst = min(changes, key=lambda name: changes[name]) if changes else None
    return {
        "metric": entry.get("metric"),
        "metric_change": entry.get("metric_change"),
        "flips": entry.get("flips"),
        "verified_samples": entry.get("samples"),
        "worst_scenario": worst,
        "worst_change": None if worst is None else sign * changes[worst],
    }


def read_report(path: str | Path) -> dict[str, Any]:
    """Read a report that `report` made.

    Raises:
        DataError: it is not there, no JSON, or no such report.
    """
    try:
        value = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"--baseline {path} cannot be read: {error}. Name a file that mmkeras benchmark wrote"
        ) from None
    if not isinstance(value, dict) or not isinstance(value.get("files"), list) or value.get("schema_version") != 1:
        raise DataError(f"--baseline {path}: expected a report of mmkeras benchmark, version 1, got another JSON file")
    return value


@dataclasses.dataclass(frozen=True)
class Regression:
    """One figure of one file that became worse than allowed."""

    file: str
    """Format and precision."""
    what: str
    """In words."""
    before: float | None
    """In the baseline."""
    now: float | None
    """None where it was not measured any more."""

    def __str__(self) -> str:
        if self.now is None or self.before is None:
            return f"{self.file}: {self.what}"
        change = f" ({self.now / self.before - 1:+.1%})" if self.before else ""
        return f"{self.file}: {self.what} {self.before:.4g} -> {self.now:.4g}{change}"


def regressions(now: Mapping[str, Any], baseline: Mapping[str, Any], share: float) -> list[Regression]:
    """Return what became worse by more than a share: a file's median time, size or peak memory, or that it is gone.

    Args:
        now: a report.
        baseline: an older one; files that it does not have are not compared.
        share: 0.1 allows a tenth more.
    """
    current = {_name(entry): entry for entry in _entries(now.get("files"))}
    found = []
    for entry in _entries(baseline.get("files")):
        name = _name(entry)
        if _figure(entry, "p50_ms") is None:
            continue  # it was not measured then
        new = current.get(name)
        if new is None or _figure(new, "p50_ms") is None:
            why = f": {new['error']}" if new is not None and new.get("error") else ""
            found.append(Regression(name, f"was measured in the baseline and is not any more{why}", None, None))
            continue
        for key, words in WATCHED.items():
            before, value = _figure(entry, key), _figure(new, key)
            if before is not None and value is not None and value > before * (1 + share):
                found.append(Regression(name, words, before, value))
    return found


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('format')} {entry.get('precision')}"


def _figure(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None  # type: ignore[arg-type]
