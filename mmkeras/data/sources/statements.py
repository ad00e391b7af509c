"""Clips with statements about them, true or false, as `mmkeras.driving.simulation.clips` writes them.

``statements.csv`` has the columns ``clip`` (a path), ``statement``, ``answer`` and ``split``; further columns become
slices of the evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mmkeras.core.errors import DataError
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import identity_of
from mmkeras.media.table.rows import Table, read_table

__all__ = ["Source"]

_COLUMNS = ("clip", "statement", "answer", "split")


@dataclass(frozen=True)
class Source(SourceBase):
    """The modalities ``video`` and ``text``, in the splits of the table. The statements of one clip are a group."""

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """Folder with statements.csv."""

    def samples(self) -> Iterator[Sample]:
        """Yield every statement in the order of the table; the target of a bad row is a `DataError`."""
        for row in self._read().rows:
            origin = f"statements.csv:{row.line}"
            cells = {name: str(cell or "") for name, cell in row.cells.items()}
            lacking = [name for name in _COLUMNS if not cells.get(name)]
            problem = row.problem or (f"empty: {', '.join(lacking)}" if lacking else "")
            if problem:
                yield Sample(key=origin, values={}, target=DataError(problem), origin=origin)
                continue
            yield Sample(
                key=f"{cells['clip']}, {cells['statement']}",
                values={"video": str(Path(self.folder, cells["clip"])), "text": cells["statement"]},
                target=cells["answer"],
                split=cells["split"],
                group=cells["clip"],
                columns={name: cell for name, cell in cells.items() if name not in _COLUMNS},
                origin=origin,
            )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return the hash of the table, and one of the sizes of all clips and some of their contents."""
        content = Path(self.folder, "statements.csv").read_bytes() if self._read().rows else b""
        clips = sorted({str(row.cells.get("clip") or "") for row in self._read().rows} - {""})
        paths = [Path(self.folder, clip) for clip in clips]
        table = {"statements.csv": hashlib.sha256(content).hexdigest()}
        return table | identity_of("clips", paths, Path(self.folder))

    def _read(self) -> Table:
        path = Path(self.folder, "statements.csv")
        if not path.is_file():
            raise DataError(f"{path}: no such file. Expected a folder that mmkeras.driving.simulation.clips wrote")
        table = read_table(path)
        if missing := [name for name in _COLUMNS if name not in table.columns]:
            raise DataError(f"{path}: expected the columns {', '.join(_COLUMNS)}, got none called {missing[0]!r}")
        return table
