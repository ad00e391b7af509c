"""The cells of one row: numbers, dates and categories as training and the device read them. numpy only."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mmkeras.core.errors import DataError, nearest
from mmkeras.media.cells import is_empty, name_of, stands_for_nothing, tidy

__all__ = ["DATE_FEATURES", "WEEK", "YEAR", "Cells", "Columns", "read_cells"]

DATE_FEATURES = 5
"""Numbers that a date becomes: days since 1970, and sine and cosine of the day in its year and in its week."""
_EPOCH = datetime.datetime(1970, 1, 1)
YEAR, WEEK = 365.2425, 7.0
"""Days in a period."""


class Columns(Protocol):
    """What names the columns: a configuration or a spec."""

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns with numbers."""

    @property
    def dates(self) -> tuple[str, ...]:
        """Columns with dates."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Columns with categories."""

    @property
    def date_format(self) -> str:
        """How dates are written, as `datetime.strptime` has it; empty for ISO 8601."""


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


def read_cells(columns: Columns, value: Any) -> Cells:
    """Read one row.

    Args:
        columns: which columns there are.
        value: cells by column, as a mapping or as the text of a JSON object; or a line of CSV, see `Cells.line`. A
            column that is not named is empty, as are None, NaN and blanks.

    Raises:
        DataError: no row, a column that the model does not have, or a cell that is no number or no date.
    """
    known = (*columns.numbers, *columns.dates, *columns.categories)
    given, date_format = _row(value, known, columns.date_format)
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise DataError(f"the model has no column {unknown[0]!r}; {nearest(unknown[0], known)}")
    numbers = [_number(name, given.get(name)) for name in columns.numbers]
    dates = [_date(name, given.get(name), date_format) for name in columns.dates]
    names = [_category(name, given.get(name)) for name in columns.categories]
    features = [*numbers, *(feature for date in dates for feature in _date_features(date))]
    line = io.StringIO()
    written = ["" if math.isnan(number) else repr(number) for number in numbers]
    csv.writer(line, lineterminator="").writerow(
        [*written, *(date.isoformat() if date else "" for date in dates), *names]
    )
    return Cells(np.array(features, np.float64), tuple(names), line.getvalue())


def _row(value: Any, columns: tuple[str, ...], date_format: str) -> tuple[Mapping[Any, Any], str]:
    """Return cells by column, and how their dates are written: in ISO 8601 where they come from a line of CSV."""
    if isinstance(value, Mapping):
        return value, date_format
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise DataError(f"expected the cells of a row by column, got {type(value).__name__}: {value!r:.80}")
    try:
        if text.lstrip().startswith("{"):
            return dict(json.loads(text)), date_format
        cells = next(csv.reader([text], strict=True), [""])
    except (ValueError, csv.Error) as error:
        raise DataError(f'expected a row such as {{"age": 63, "sex": "F"}}, got {text!r:.80}: {error}') from None
    if len(cells) != len(columns):
        raise DataError(
            f"expected a JSON object or a line of CSV with the cells {', '.join(columns)}, got {text!r:.80}"
        )
    return dict(zip(columns, cells, strict=True)), ""


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
    moment: datetime.datetime | None = None
    if isinstance(cell, np.datetime64):
        moment = cell.astype("datetime64[us]").item()
    elif isinstance(cell, datetime.datetime):
        moment = cell
    elif isinstance(cell, datetime.date):
        moment = datetime.datetime(cell.year, cell.month, cell.day)
    elif isinstance(cell, str):
        moment = _parsed(tidy(cell), date_format)
    if moment is None:
        wanted = f"as {date_format!r}" if date_format else "such as 2024-05-31 or 2024-05-31T12:00:00"
        raise DataError(f"column {name!r}: expected a date {wanted}, got {cell!r:.60}. Set date_format")
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return moment


def _parsed(text: str, date_format: str) -> datetime.datetime | None:
    try:
        if date_format:
            return datetime.datetime.strptime(text, date_format)
        return datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text)
    except (ValueError, OverflowError):
        return None


def _date_features(moment: datetime.datetime | None) -> list[float]:
    if moment is None:
        return [math.nan] * DATE_FEATURES
    days = (moment - _EPOCH) / datetime.timedelta(days=1)
    year, week = 2 * math.pi * days / YEAR, 2 * math.pi * days / WEEK
    return [days, math.sin(year), math.cos(year), math.sin(week), math.cos(week)]
