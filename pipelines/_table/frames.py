"""Writes a table that is in memory into a folder, so that it is read and fingerprinted like any other."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.storage.files import write_bytes, write_text

__all__ = ["write_frame"]


def write_frame(frame: Any, folder: Path) -> Path:
    """Write a DataFrame as ``rows.jsonl``, with its pictures as files beside it, and return the path.

    Cells are texts, numbers, booleans, dates, lists of these, or pictures: Pillow images, uint8 arrays (H, W) or
    (H, W, 3), or the bytes of a file. Where all texts of a column name existing files, they become paths that are
    relative to the folder.

    Args:
        frame: a DataFrame of pandas.
        folder: where to write; created if missing.

    Raises:
        DataError: no rows, or a cell of another type.
    """
    if not len(frame):
        raise DataError("the DataFrame has no rows")
    cells = frame.astype(object).where(frame.notna(), None)
    columns = {}
    for name in cells:
        values = [_cell(each, str(name), row, folder) for row, each in enumerate(cells[name])]
        columns[str(name)] = _relative(values, folder)
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return write_text(folder / "rows.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _cell(cell: Any, column: str, row: int, folder: Path) -> Any:
    if isinstance(cell, np.generic):
        cell = cell.item()
    if cell is None or isinstance(cell, (str, int, float, bool)):
        return cell
    if isinstance(cell, os.PathLike):
        return os.fspath(cell)
    if isinstance(cell, (bytes, bytearray)):
        return _file(bytes(cell), _ending(bytes(cell), f"column {column!r}, row {row}"), folder)
    if isinstance(cell, Image.Image):
        return _picture(cell, folder)
    if isinstance(cell, np.ndarray):
        if cell.dtype == np.uint8 and cell.ndim in (2, 3):
            return _picture(Image.fromarray(cell), folder)
        return cell.tolist()
    if hasattr(cell, "isoformat"):
        return cell.isoformat()
    if isinstance(cell, Sequence):
        return [_cell(each, column, row, folder) for each in cell]
    raise DataError(
        f"column {column!r}, row {row}: expected a text, a number, a date, a list or a picture, "
        f"got {type(cell).__name__}"
    )


def _picture(image: Image.Image, folder: Path) -> str:
    content = io.BytesIO()
    image.save(content, "PNG")
    return _file(content.getvalue(), "png", folder)


def _ending(content: bytes, where: str) -> str:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return str(image.format).lower()
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged data
        raise DataError(f"{where}: expected the bytes of a picture, got {len(content)} bytes: {error}") from None


def _file(content: bytes, ending: str, folder: Path) -> str:
    """Write a file under the hash of its content, so that equal pictures are one file; return its path."""
    name = f"files/{hashlib.sha256(content).hexdigest()[:24]}.{ending}"
    if not (folder / name).is_file():
        write_bytes(folder / name, content)
    return str(folder / name)


def _relative(values: list[Any], folder: Path) -> list[Any]:
    """Return the values of a column, relative to the folder where all its texts name files."""
    texts = {each for each in values if isinstance(each, str) and each.strip()}
    if not texts or not all(len(text) < 4096 and _exists(text) for text in texts):
        return values
    start = folder.resolve()
    paths = {text: os.path.relpath(Path(text).resolve(), start) for text in texts}
    return [paths.get(each, each) if isinstance(each, str) else each for each in values]


def _exists(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False
