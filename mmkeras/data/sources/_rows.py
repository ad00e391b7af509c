"""Tables as rows with their line numbers, for error messages that point at the right place."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmkeras.errors import DataError, nearest, require

__all__ = ["Row", "Table", "read_table"]


@dataclass(frozen=True)
class Row:
    """One row."""

    line: int
    """Line on which the row begins, the first line of the file being 1; in a Parquet file the row's number."""
    cells: dict[str, Any]
    """Value by column; empty where the row cannot be parsed."""
    problem: str = ""
    """Why the row cannot be parsed."""


@dataclass(frozen=True)
class Table:
    """A whole table."""

    columns: tuple[str, ...]
    """Names in the order of the file."""
    rows: list[Row]
    """The rows in the order of the file."""


def read_table(path: Path) -> Table:
    """Read a .csv, .tsv, .jsonl or .parquet file.

    Raises:
        DataError: no such file, another type, not UTF-8, no header, columns of the same name, or no rows.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: cannot read {path.suffix or 'a file without suffix'}; {nearest(path.suffix, READERS)}"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the option path of the table source")
    try:
        table = reader(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8, got other bytes at {error.start}. Save the table as UTF-8") from None
    twice = sorted({name for name in table.columns if table.columns.count(name) > 1})
    if twice:
        raise DataError(f"{path}: these columns stand more than once: {', '.join(map(repr, twice))}. Rename them")
    if not table.rows:
        raise DataError(f"{path}: the table has no rows")
    return table


def _read_csv(path: Path, delimiter: str = ",") -> Table:
    rows = []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            columns = tuple(next(reader, ()))
        except csv.Error as error:
            raise DataError(f"{path}:1: not valid CSV: {error}; expected the names of the columns") from None
        if not columns:
            raise DataError(f"{path}: the first line is empty; expected the names of the columns")
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                rows.append(Row(line, {}, f"not valid CSV: {error}"))
                continue
            if cells is None:
                break
            if len(cells) == len(columns):
                rows.append(Row(line, dict(zip(columns, cells, strict=True))))
            elif cells:  # an empty line is no row
                rows.append(Row(line, {}, f"expected {len(columns)} cells, got {len(cells)}"))
    return Table(columns, rows)


def _read_tsv(path: Path) -> Table:
    return _read_csv(path, "\t")


def _read_jsonl(path: Path) -> Table:
    rows: list[Row] = []
    columns: dict[str, None] = {}
    # Lines end at "\n" alone: str.splitlines would also cut at characters that JSON strings may hold.
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            try:
                cells = json.loads(text)
            except (ValueError, RecursionError) as error:
                rows.append(Row(line, {}, f"not valid JSON: {error}"))
                continue
            if isinstance(cells, dict):
                columns.update(dict.fromkeys(cells))
                rows.append(Row(line, cells))
            else:
                rows.append(Row(line, {}, f"expected a JSON object, got {type(cells).__name__}"))
    return Table(tuple(columns), rows)


def _read_parquet(path: Path) -> Table:
    require("pyarrow", "train")
    parquet = require("pyarrow.parquet", "train")
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from None
    rows = [Row(number, cells) for number, cells in enumerate(table.to_pylist(), start=1)]
    return Table(tuple(table.column_names), rows)


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
"""Reader by suffix."""
