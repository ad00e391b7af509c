"""Reads the rows of a table for a comparison: the values of every input, the target, and columns to slice by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.foreign.feeds import SIDES, Feeds, Frame, Modality, Picture
from mmkeras.core.errors import ConfigError, DataError, MmkerasError, nearest
from mmkeras.data.quarantine import BadRow
from mmkeras.media.cells import is_empty, name_of, tidy
from mmkeras.media.image.pixels import read_rgb
from mmkeras.media.table.files import Folder
from mmkeras.media.table.inputs import cell_of, raw_value
from mmkeras.media.table.rows import Row, Table
from mmkeras.storage.numpy_files import read_npy

__all__ = ["Rows", "check_columns", "read_value"]


@dataclass
class Rows:
    """The rows of a table that can be used, and those that cannot."""

    path: Path
    table: Table
    feeds: Feeds
    root: Path
    """Folder that relative paths start from."""
    target: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    group: str = ""
    good: list[Row] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    """Each with its line and the reason."""

    def __post_init__(self) -> None:
        self._folder = Folder(self.root)

    def checked(self, most: int) -> Rows:
        """Read every row once, keep those of which both sides can be given the inputs, and return the rows.

        Of more than ``most`` rows, that many are chosen at equal distances.
        """
        for row in _spaced(self.table.rows, most or len(self.table.rows)):
            try:
                if row.problem:
                    raise DataError(row.problem)
                for column in self.target:
                    if is_empty(cell_of(row.cells, column)):
                        raise DataError(f"column {column!r}: the target is empty")
                values = self.values(row)
                for side in SIDES:
                    self.feeds.inputs(values, side)
            except (MmkerasError, ValueError) as error:
                if isinstance(error, ConfigError):
                    raise
                place = f"{self.path.name}:{row.line}"
                self.bad.append(BadRow(place, place, "", "row", " ".join(str(error).split())[:300]))
            else:
                self.good.append(row)
        return self

    def values(self, row: Row) -> dict[str, Any]:
        """Return the value of every feed.

        Raises:
            DataError: a cell cannot be used; names the column.
        """
        found = {}
        for feed in self.feeds.feeds:
            if isinstance(feed, Modality):
                column = feed.columns[0] if len(feed.columns) == 1 else feed.columns
                found[feed.name] = raw_value(row.cells, column, self._folder if feed.spec.reads_files else None)[0]
                continue
            cells = [cell_of(row.cells, column) for column in feed.columns]
            empty = [name for name, cell in zip(feed.columns, cells, strict=True) if is_empty(cell)]
            if empty:
                raise DataError(f"column {empty[0]!r}: the cell is empty")
            kind = "picture" if isinstance(feed, Picture) else "numbers"
            try:
                parts = [read_value(cell, kind, self._folder) for cell in cells]
            except DataError as error:
                raise DataError(f"column {', '.join(map(repr, feed.columns))}: {error}") from error
            found[feed.name] = parts[0] if len(parts) == 1 else np.concatenate([np.ravel(part) for part in parts])
        return found

    def batches(self, rows: Sequence[Row], size: int) -> Iterator[tuple[slice, list[dict[str, Any]]]]:
        """Yield the values of rows in batches, with their place."""
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield slice(start, start + len(part)), [self.values(row) for row in part]

    def spread(self, most: int) -> list[Row]:
        """Return at most so many of the good rows, at equal distances: neighbours are often alike."""
        return _spaced(self.good, most)

    def names(self, column: str) -> np.ndarray:
        """Return the cells (N,) of a column of the good rows as text."""
        cells = [cell_of(row.cells, column) for row in self.good]
        return np.array(["" if is_empty(cell) else name_of(cell) or str(cell) for cell in cells])


def _spaced(rows: list[Row], most: int) -> list[Row]:
    step = max(1.0, len(rows) / most)
    return [rows[int(place * step)] for place in range(min(most, len(rows)))]


def check_columns(path: Path, table: Table, wanted: Mapping[str, Sequence[str]]) -> None:
    """Check that a table has the columns that options name.

    Raises:
        ConfigError: names every missing column with its option and the nearest name.
    """
    problems = [
        f"{path}: {option} names the column {column!r}, which the table does not have; {nearest(column, table.columns)}"
        for option, columns in wanted.items()
        for column in columns
        if tidy(column) not in table.columns
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def read_value(cell: Any, kind: str, folder: Folder) -> Any:
    """Return a `Frame`, or an array of numbers.

    Args:
        cell: the path of a picture or of a ``.npy`` file, a number, a list, or a text of numbers or of JSON.
        kind: ``picture`` or ``numbers``.
        folder: relative paths start here.

    Raises:
        DataError: it cannot be read.
    """
    is_array = isinstance(cell, str) and cell.strip().lower().endswith(".npy")
    if is_array:
        path = Path(folder.find(cell.strip())[0])
        try:
            cell = read_npy(path)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: {error}") from None
    if kind == "picture":
        return Frame(read_rgb(folder.find(cell)[0] if isinstance(cell, str) else cell))
    if isinstance(cell, str):
        cell = _parsed(cell)
    try:
        array = np.asarray(cell)
    except ValueError as error:
        raise DataError(f"is no array: {error}") from None
    if array.dtype.kind not in "fiub" or not array.size:
        raise DataError(f"expected numbers, got {str(cell)[:60]!r}")
    if not np.isfinite(array).all():
        raise DataError("expected finite numbers, got NaN or infinity")
    return array


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        parts = [part for part in re.split(r"[\s,;]+", text.strip("[]() \t\r\n")) if part]
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise DataError(f"expected a number, a list of numbers or a .npy file, got {text[:60]!r}") from None
    return numbers[0] if len(numbers) == 1 else numbers
