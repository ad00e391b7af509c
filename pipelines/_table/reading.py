"""Reads a table as columns; a folder of class folders becomes a table first."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.storage.files import write_text

__all__ = ["Columns", "class_folders", "read_columns"]

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".gif", ".dcm")
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}


@dataclass(frozen=True)
class Columns:
    """A table by column."""

    path: Path
    """The file."""
    cells: dict[str, list[Any]]
    """Cells of every column, in the order of the file; None where a row cannot be parsed."""
    damaged: int
    """Rows that cannot be parsed."""

    @property
    def rows(self) -> int:
        """Rows."""
        return len(next(iter(self.cells.values()), []))


def read_columns(path: Path) -> Columns:
    """Read a .csv, .tsv, .jsonl or .parquet file.

    Raises:
        DataError: the table cannot be read.
    """
    from mmkeras.data.sources._rows import read_table

    table = read_table(path)
    cells = {name: [row.cells.get(name) for row in table.rows] for name in table.columns}
    return Columns(path, cells, sum(bool(row.problem) for row in table.rows))


def class_folders(folder: Path, to: Path) -> Path:
    """Write the table of a folder of class folders: ``cat/1.png``, or ``train/cat/1.png``; return its path.

    Raises:
        DataError: no picture, or a single class.
    """
    names = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES and path.is_file())
    rows = []
    for path in names:
        parts = path.relative_to(folder).parts[:-1]
        split = parts[0] if parts and parts[0].casefold() in _SPLITS else ""
        label = parts[1:2] if split else parts[:1]
        if label:
            rows.append([str(path.resolve()), label[0], split])
    if len({row[1] for row in rows}) < 2:
        raise DataError(
            f"{folder}: expected a table, or pictures in one folder for each class such as {folder.name}/cat/1.png; "
            f"found {len(names)} pictures in folders of {len({row[1] for row in rows})} classes"
        )
    with_split = any(row[2] for row in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "split"][: 3 if with_split else 2])
    writer.writerows(row[: 3 if with_split else 2] for row in rows)
    write_text(to, text.getvalue())
    return to
