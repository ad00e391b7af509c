"""Columns of a Parquet file as Python values; a cell that Python cannot hold costs its row alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError, require

__all__ = ["read_columns"]


def read_columns(path: Path) -> tuple[list[str], list[list[Any]], dict[int, str]]:
    """Read a Parquet file.

    Returns:
        Names of the columns, values of each, and why a row cannot be read, by its index.

    Raises:
        DataError: not a readable Parquet file.
    """
    require("pyarrow", "train")
    parquet = require("pyarrow.parquet", "train")
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from None
    problems: dict[int, str] = {}
    columns = [_values(column, name, problems) for name, column in zip(table.column_names, table.columns, strict=True)]
    return list(table.column_names), columns, problems


def _values(column: Any, name: str, problems: dict[int, str]) -> list[Any]:
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
