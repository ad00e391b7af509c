"""The raw values of a sample in the cells of a row: the same for training and on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmkeras.media.cells import is_empty, tidy
from mmkeras.media.table.files import Folder

__all__ = ["called", "cell_of", "names_of", "raw_value"]


def raw_value(
    cells: Mapping[str, Any], column: str | Sequence[str], folder: Folder | None = None
) -> tuple[Any, str | None]:
    """Return the raw value of a modality in a row, None where its cells are empty, and a remark on it, if any.

    Args:
        cells: of the row, by column in normal form (`tidy`).
        column: the column of the modality; of several, the value is a dict of their cells.
        folder: where relative paths start, for a modality that reads files. A cell may be a list of them, or a text
            with ``;``, ``|`` or ``,`` between files that exist. Values other than text are kept.

    Raises:
        DataError: a path that differs from an existing one in case, or is one of Windows.
    """
    if not isinstance(column, str):
        several = {each: cell_of(cells, each) for each in column}
        return (None if all(map(is_empty, several.values())) else several), None
    cell = cell_of(cells, column)
    if is_empty(cell):
        return None, None
    if folder is not None and isinstance(cell, str) and (several_files := folder.several(cell)):
        cell = several_files
    if folder is not None and isinstance(cell, str):
        path, remark = folder.find(cell)
        return path, remark or None
    if folder is not None and isinstance(cell, (list, tuple)):
        found = [folder.find(each) if isinstance(each, str) else (each, "") for each in cell]
        return [path for path, _ in found], next((remark for _, remark in found if remark), None)
    return cell, None


def cell_of(cells: Mapping[str, Any], column: str) -> Any:
    """Return the cell of a column, whose name need not be in normal form; None without one."""
    return cells.get(tidy(column))


def names_of(column: str | Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a modality, of one or several."""
    return (column,) if isinstance(column, str) else tuple(column)


def called(column: str | Sequence[str]) -> str:
    """Return the columns for a message that goes on with ``empty``."""
    if isinstance(column, str):
        return f"column {column!r} is"
    return f"the columns {', '.join(map(repr, column))} are all"
