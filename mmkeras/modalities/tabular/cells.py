"""The cells of one row: numbers, dates and categories as training and the device read them. numpy only."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError, nearest
from mmkeras.media.cells import is_empty, name_of, stands_for_nothing
from mmkeras.media.dates import EPOCH, moment_of
from mmkeras.modalities.tabular.columns import DATE_FEATURES, Columns

__all__ = ["WEEK", "YEAR", "Cells", "read_cells", "write_line"]

YEAR, WEEK = 365.2425, 7.0
"""Days in a period."""


@dataclass(frozen=True)
class Cells:
    """A row that was read."""

    features: np.ndarray
    """float64 (F,): the numbers, then `DATE_FEATURES` for each date; NaN where a cell is empty."""
    names: tuple[str, ...]
    """The categories in their normal form; empty where a cell is empty."""
    line: str
    """The row as a line of CSV, its columns in the order numbers, dates, categories: numbers and dates in one form,
    so that the graph can read it. `read_cells` reads it again to the same result."""

    def by_column(self, columns: Columns) -> str:
        """Return the cells by column as the text of a JSON object; dates in the columns' format, null where empty."""
        cells: dict[str, Any] = {}
        written = next(csv.reader([self.line], strict=True), [""])
        for name, cell in zip(columns.columns, written, strict=True):
            if name in columns.numbers:
                cells[name] = float(cell) if cell else None
            elif name in columns.dates and cell and columns.date_format:
                cells[name] = datetime.datetime.fromisoformat(cell).strftime(columns.date_format)
            else:
                cells[name] = cell or None
        return json.dumps(cells, ensure_ascii=False)


def read_cells(columns: Columns, value: Any) -> Cells:
    """Read one row.

    Args:
        columns: which columns there are.
        value: cells by column, as a mapping or as the text of a JSON object; or a line of CSV, see `Cells.line`. A
            column that is not named is empty, as are None, NaN and blanks.

    Raises:
        DataError: no row, a column that the model does not have, or a cell that is no number or no date.
    """
    given, date_format = _row(value, columns)
    unknown = sorted(str(name) for name in given if name not in columns.columns)
    if unknown:
        raise DataError(f"the model has no column {unknown[0]!r}; {nearest(unknown[0], columns.columns)}")
    numbers = [_number(name, given.get(name)) for name in columns.numbers]
    dates = [_date(name, given.get(name), date_format) for name in columns.dates]
    names = [_category(name, given.get(name)) for name in columns.categories]
    features = [*numbers, *(feature for date in dates for feature in _date_features(date))]
    written = ["" if math.isnan(number) else repr(number) for number in numbers]
    written += ["" if date is None else date.isoformat() for date in dates]
    return Cells(np.array(features, np.float64), tuple(names), write_line([*written, *names]))


def write_line(cells: Iterable[str]) -> str:
    """Return cells as a line of CSV."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _row(value: Any, columns: Columns) -> tuple[Mapping[Any, Any], str]:
    """Return cells by column, and how their dates are written: in ISO 8601 where they come from a line of CSV."""
    if isinstance(value, Mapping):
        return value, columns.date_format
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise DataError(f"expected the cells of a row by column, got {type(value).__name__}: {value!r:.80}")
    try:
        if text.lstrip().startswith("{"):
            return dict(json.loads(text)), columns.date_format
        cells = next(csv.reader([text], strict=True), [""])
    except (ValueError, csv.Error) as error:
        raise DataError(f'expected a row such as {{"age": 63, "sex": "F"}}, got {text!r:.80}: {error}') from None
    if len(cells) != len(columns.columns):
        wanted = ", ".join(columns.columns)
        raise DataError(f"expected a JSON object or a line of CSV with the cells {wanted}, got {text!r:.80}")
    return dict(zip(columns.columns, cells, strict=True)), ""


def _number(name: str, cell: Any) -> float:
    """Return the number in a cell; NaN where it is empty."""
    if stands_for_nothing(cell):
        return math.nan
    try:
        number = math.inf if isinstance(cell, np.ndarray) else float(cell)
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if math.isinf(number):
        raise DataError(f"column {name!r}: expected a finite number, got {cell!r:.60}")
    return number


def _category(name: str, cell: Any) -> str:
    """Return the name in a cell, the same for 1, 1.0 and "1"; empty where the cell is."""
    cell = cell.item() if isinstance(cell, np.generic) else cell
    if is_empty(cell):
        return ""
    found = name_of(cell)
    if found is None and not isinstance(cell, str):
        raise DataError(f"column {name!r}: expected a category, got {cell!r:.60} ({type(cell).__name__})")
    return found or ""


def _date(name: str, cell: Any, date_format: str) -> datetime.datetime | None:
    """Return the date in a cell, in UTC where it has a zone; None where the cell is empty."""
    # NaT of numpy and pandas differs from itself, as NaN does.
    if stands_for_nothing(cell) or (isinstance(cell, np.datetime64 | datetime.datetime) and cell != cell):
        return None
    moment = moment_of(cell, date_format)
    if moment is None:
        wanted = f"as {date_format!r}" if date_format else "such as 2024-05-31 or 2024-05-31T12:00:00"
        raise DataError(f"column {name!r}: expected a date {wanted}, got {cell!r:.60}. Set date_format")
    return moment


def _date_features(moment: datetime.datetime | None) -> list[float]:
    if moment is None:
        return [math.nan] * DATE_FEATURES
    days = (moment - EPOCH) / datetime.timedelta(days=1)
    year, week = 2 * math.pi * days / YEAR, 2 * math.pi * days / WEEK
    return [days, math.sin(year), math.cos(year), math.sin(week), math.cos(week)]
