"""Reads a table as columns; a folder of class folders becomes a table first."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.data.columns.kinds import SUFFIXES
from mmkeras.data.sources._contract import split_called
from mmkeras.media.table.rows import read_table
from mmkeras.storage.files import write_text

__all__ = ["Columns", "class_folders", "read_columns"]

_PICTURES = (*SUFFIXES["picture"], *SUFFIXES["dicom"])


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
    table = read_table(path)
    cells = {name: [row.cells.get(name) for row in table.rows] for name in table.columns}
    return Columns(path, cells, sum(bool(row.problem) for row in table.rows))


def class_folders(folder: Path, to: Path) -> Path:
    """Write the table of a folder of class folders: ``cat/1.png``, or ``train/cat/1.png``; return its path.

    Files with the endings of pictures and of DICOM files count. Their paths start from the folder of the table, so that
    both can be moved together.

    Raises:
        DataError: no picture, or a single class.
    """
    names = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES and path.is_file())
    rows = []
    for path in names:
        parts = path.relative_to(folder).parts[:-1]
        split = parts[0] if parts and split_called(parts[0]) else ""
        label = parts[1:2] if split else parts[:1]
        if label:
            rows.append([_relative(path, to.parent), label[0], split])
    classes = {row[1] for row in rows}
    if len(classes) < 2:
        raise DataError(
            f"{folder}: expected a table, or pictures in one folder for each class such as {folder.name}/cat/1.png; "
            f"found {len(names)} pictures in folders of {len(classes)} classes"
        )
    columns = 3 if any(row[2] for row in rows) else 2
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(row[:columns] for row in (["image", "label", "split"], *rows))
    write_text(to, text.getvalue())
    return to


def _relative(path: Path, start: Path) -> str:
    """Return a path from a folder with / between its parts; the whole path if both are on different drives."""
    try:
        return Path(os.path.relpath(path.resolve(), start.resolve())).as_posix()
    except ValueError:
        return str(path.resolve())
