"""fight_video: 300 clips of surveillance cameras, about two seconds each, with a fight or without one (MIT).

``labels.csv`` has the columns ``file``, ``label`` and ``source_video``, the clips are in ``clips/``. Clips of one
source video show one scene: they are never in two splits. 28 clips name no source; they may be of one scene, so they
stay together too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.sources._contract import Sample, SourceBase
from mmkeras.data.sources._files import identity_of
from mmkeras.media.table.rows import Table, read_table

__all__ = ["Source"]

_COLUMNS = ("file", "label", "source_video")
_UNKNOWN = "unknown source"


@dataclass(frozen=True)
class Source(SourceBase):
    """The modality ``video``. The test split is one of several folds by source video; the others are for training."""

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """Folder with labels.csv and clips/."""
    fold: int = 0
    """Number of the fold that is the test split."""
    folds: int = 5
    """Number of folds, of about equal size."""

    def __post_init__(self) -> None:
        """Check the folds, with a `ConfigError` for a wrong one."""
        if self.folds < 2 or not 0 <= self.fold < self.folds:
            raise ConfigError(
                f"fight_video: expected folds of 2 or more, and fold from 0 to folds - 1; got {self.folds}, {self.fold}"
            )

    def samples(self) -> Iterator[Sample]:
        """Yield every clip in the order of the table; the target of a bad row is a `DataError`."""
        table = self._read()
        place = self._folds(table)
        for row in table.rows:
            origin = f"labels.csv:{row.line}"
            cells = {name: str(row.cells.get(name) or "") for name in _COLUMNS}
            lacking = [name for name in ("file", "label") if not cells[name]]
            if problem := row.problem or (f"empty: {', '.join(lacking)}" if lacking else ""):
                yield Sample(key=origin, values={}, target=DataError(problem), origin=origin)
                continue
            yield Sample(
                key=cells["file"],
                values={"video": str(Path(self.folder, "clips", cells["file"]))},
                target=cells["label"],
                split="test" if place[cells["source_video"]] == self.fold else None,
                group=cells["source_video"] or _UNKNOWN,
                origin=origin,
                remarks=() if cells["source_video"] else (f"no source video: in one group, {_UNKNOWN!r}",),
            )

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return the hash of the table, and one of the sizes of all clips and some of their contents."""
        names = sorted({str(row.cells.get("file") or "") for row in self._read().rows} - {""})
        paths = [Path(self.folder, "clips", name) for name in names]
        table = {"labels.csv": hashlib.sha256(self._path.read_bytes()).hexdigest()}
        return table | identity_of("clips", paths, Path(self.folder))

    @property
    def _path(self) -> Path:
        return Path(self.folder, "labels.csv")

    def _folds(self, table: Table) -> dict[str, int]:
        """Return the fold of each source video: the largest first, each to the smallest fold so far."""
        sizes: dict[str, int] = {}
        for row in table.rows:
            video = str(row.cells.get("source_video") or "")
            sizes[video] = sizes.get(video, 0) + 1
        order = sorted(sizes, key=lambda video: (-sizes[video], hashlib.sha256(video.encode()).hexdigest()))
        filled, found = [0] * self.folds, {}
        for video in order:
            found[video] = min(range(self.folds), key=lambda fold: filled[fold])
            filled[found[video]] += sizes[video]
        return found

    def _read(self) -> Table:
        if not self._path.is_file():
            raise DataError(f"{self._path}: no such file. Expected the unpacked folder of fight_video")
        table = read_table(self._path)
        if missing := [name for name in _COLUMNS if name not in table.columns]:
            raise DataError(f"{self._path}: expected the columns {', '.join(_COLUMNS)}, got none called {missing[0]!r}")
        return table
