"""Rows that exercise the preprocessing, and rows made harder. numpy only."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmkeras.modalities.tabular.cells import read_cells, write_line
from mmkeras.modalities.tabular.columns import Columns

__all__ = ["one_missing", "rows", "unknown_categories"]

_NUMBERS = 8
"""Rows at least; as many more as a column has categories, up to this number."""


def one_missing(columns: Columns, value: Any) -> str:
    """Return a row without one of its filled cells; which one depends on the row, so that every column is tried."""
    line = read_cells(columns, value).line
    row = _by_column(columns, line)
    filled = [name for name, cell in row.items() if cell]
    if filled:
        row[filled[zlib.crc32(line.encode()) % len(filled)]] = ""
    return write_line(row.values())


def unknown_categories(columns: Columns, value: Any) -> str:
    """Return a row whose categories training has not seen."""
    row = _by_column(columns, read_cells(columns, value).line)
    changed = {name: f"not {row[name]}" for name in columns.categories if row[name]}
    return write_line((row | changed).values())


def rows(
    columns: Columns, scale: Mapping[str, tuple[float, float]], known: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return rows: empty, with numbers from far below to far above the mean, and with known and unknown categories.

    Args:
        columns: of the model.
        scale: mean and standard deviation of the columns of numbers.
        known: categories of each column of categories.
    """
    most = max((len(each) for each in known.values()), default=0)
    made: list[dict[str, Any]] = [{}]
    for number in range(min(most, _NUMBERS) + _NUMBERS // 2):
        row: dict[str, Any] = {}
        for at, name in enumerate(columns.numbers):
            mean, deviation = scale[name]
            row[name] = mean + (number - _NUMBERS // 2) * deviation * (1.0 + 0.37 * at)
        for at, name in enumerate(columns.dates):
            row[name] = np.datetime64(f"{1990 + 7 * number}-0{1 + (number + at) % 9}-1{number % 10}T06:30:00")
        for name in columns.categories:
            names = known[name]
            row[name] = names[number % len(names)] if names and number < most else f" new\u00a0{number} "
        made.append(row)
    return tuple(read_cells(columns, row).line for row in made)


def _by_column(columns: Columns, line: str) -> dict[str, str]:
    cells = next(csv.reader([line]), [""])
    return dict(zip(columns.columns, cells, strict=True))
