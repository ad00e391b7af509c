"""Reads tables as rows with their line numbers, for error messages."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError, nearest, require
from mmkeras.media.cells import tidy
from mmkeras.media.table.csv_rows import read_records
from mmkeras.storage.text_lines import json_lines, text_lines, undecodable

__all__ = ["Row", "Table", "read_table"]


@dataclass(frozen=True)
class Row:
    """One row."""

    line: int
    """Number of its first line, from 1; in a Parquet file that of the row."""
    cells: dict[str, Any]
    """Value by column; empty where the row cannot be parsed."""
    problem: str = ""
    """Why the row cannot be parsed."""
    remark: str = ""
    """Remark on a row that is kept."""


@dataclass(frozen=True)
class Table:
    """A whole table."""

    columns: tuple[str, ...]
    """In the order of the file, normalised by `tidy`."""
    rows: list[Row]
    """All rows in the order of the file."""


def read_table(path: Path) -> Table:
    """Read a .csv, .tsv, .jsonl or .parquet file.

    Raises:
        DataError: no such file, another type, UTF-16, no header, columns of the same name, or no rows.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: cannot read {path.suffix or 'a file without suffix'}; {nearest(path.suffix, READERS)}"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the option path of the table source")
    table = reader(path)
    if not table.rows:
        raise DataError(f"{path}: the table has no rows")
    return table


def _check_columns(path: Path, columns: tuple[str, ...]) -> None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"{path}: these columns occur more than once: {', '.join(map(repr, twice))}. Rename them")


def _read_csv(path: Path, delimiter: str = ",") -> Table:
    with path.open("rb") as stream:
        try:
            lines = list(text_lines(stream))
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    columns, start = _header(path, lines, delimiter)
    _check_columns(path, columns)
    rows = [
        Row(record.first + 1, dict(zip(columns, record.cells, strict=False)), record.problem, record.remark)
        for record in read_records(lines, start, len(columns), delimiter)
    ]
    return Table(columns, rows)


def _header(path: Path, lines: list[str], delimiter: str) -> tuple[tuple[str, ...], int]:
    """Return the names of the columns and the index of the line after them."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise DataError(f"{path}:1: not valid CSV: {error}; expected the names of the columns") from None
    text = "".join(lines[: reader.line_num])
    if not text.strip():
        raise DataError(f"{path}: the first line is empty; expected the names of the columns")
    problem = undecodable(text)
    if problem:
        raise DataError(f"{path}:1: {problem}")
    # A name may contain a line break, but one that also has the delimiter contains other names and rows.
    if any(delimiter in name and ("\n" in name or "\r" in name) for name in names):
        raise DataError(f"{path}:1: a quote opens in the names of the columns and is not closed in this line")
    return tuple(map(tidy, names)), reader.line_num


def _read_jsonl(path: Path) -> Table:
    rows: list[Row] = []
    columns: dict[str, None] = {}
    with path.open("rb") as stream:
        try:
            for line in json_lines(stream):
                cells, problem = {}, line.problem
                if not problem and not isinstance(line.value, dict):
                    problem = f"expected a JSON object, got {type(line.value).__name__}"
                if not problem:
                    cells = {tidy(name): value for name, value in line.value.items()}
                    if len(cells) < len(line.value):
                        problem = f"names that differ in blanks only: {', '.join(map(repr, line.value))[:80]}"
                columns.update(dict.fromkeys(cells))
                rows.append(Row(line.number, {} if problem else cells, problem))
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    return Table(tuple(columns), rows)


def _read_parquet(path: Path) -> Table:
    require("pyarrow", "train")
    parquet = require("pyarrow.parquet", "train")
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from None
    columns = tuple(map(tidy, table.column_names))
    _check_columns(path, columns)
    problems: dict[int, str] = {}
    cells = [_values(column, name, problems) for name, column in zip(table.column_names, table.columns, strict=True)]
    rows = [
        Row(number + 1, {} if number in problems else dict(zip(columns, values, strict=True)), problems.get(number, ""))
        for number, values in enumerate(zip(*cells, strict=True))
    ]
    return Table(columns, rows)


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, delimiter="\t"),
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _values(column: Any, name: str, problems: dict[int, str]) -> list[Any]:
    """Return the values of a Parquet column, and add the problems of unreadable cells by the row's index."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # UnicodeDecodeError and pyarrow's own errors among them
        values = []
        for number, cell in enumerate(column):
            try:
                values.append(cell.as_py())
            except (ValueError, OverflowError) as error:
                values.append(None)
                problems.setdefault(number, f"column {name!r:.80}: cannot be read: {error}"[:300])
    return values
