"""Pictures and captions of your own: a table with a picture and a caption in each row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mmkeras.core.errors import DataError, nearest
from mmkeras.data.sources._captions import Caption, caption_samples
from mmkeras.data.sources._contract import Sample, SourceBase, split_called
from mmkeras.data.sources._files import identity_of
from mmkeras.media.table.rows import Table, read_table

__all__ = ["Source"]


@dataclass(frozen=True)
class Source(SourceBase):
    """The modalities ``image`` and ``text``, a sample for each row; for the task ``matching``.

    A picture may have several rows: its captions belong together, and are in one split.
    """

    reads: ClassVar[tuple[str, ...]] = ("path", "folder")

    path: str
    """A .csv, .tsv, .jsonl or .parquet file."""
    folder: str = ""
    """Folder that the paths of pictures start from; that of the table when empty."""
    image: str = "image"
    """Column with the path of the picture."""
    text: str = "caption"
    """Column with the caption."""
    split: str = ""
    """Column with the split; drawn by picture when empty."""
    mirrored: bool = False
    """Show every second caption of a training picture with the mirrored picture, unless the caption names a side."""

    def samples(self) -> Iterator[Sample]:
        """Yield every row in the order of the table; the target of a bad row is a `DataError`."""
        root, rows = self._root(), []
        for row in self._read().rows:
            origin = f"{Path(self.path).name}:{row.line}"
            cells = {name: str(row.cells.get(name) or "") for name in (self.image, self.text, self.split) if name}
            split = split_called(cells[self.split]) if self.split else None
            problem = row.problem
            if not problem and self.split and split is None:
                problem = f"{cells[self.split]!r:.40} is no split"
            if not problem and not cells[self.image]:
                problem = f"the caption {cells[self.text][:60]!r} names no picture"
            if problem:
                yield Sample(key=origin, values={}, target=DataError(problem), origin=origin)
            else:
                rows.append(Caption(origin, cells[self.image], cells[self.text], split))
        known = {name: root / name for name in {row.picture for row in rows} if (root / name).is_file()}
        yield from caption_samples(rows, known.get, str(root), mirrored=self.mirrored)

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return the hash of the table, and those of names and sizes of the pictures and of the beginnings of some."""
        root = self._root()
        names = sorted({str(row.cells.get(self.image) or "") for row in self._read().rows} - {""})
        table = {"table": hashlib.sha256(Path(self.path).read_bytes()).hexdigest()}
        return table | identity_of("pictures", [root / name for name in names], root)

    def _root(self) -> Path:
        return Path(self.folder) if self.folder else Path(self.path).parent

    def _read(self) -> Table:
        table = read_table(Path(self.path))
        for name in (self.image, self.text, self.split):
            if name and name not in table.columns:
                raise DataError(f"{self.path}: no column {name!r}; {nearest(name, table.columns)}")
        return table
