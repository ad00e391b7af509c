"""Reads lists of numbers in every raw form. numpy only."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError, named
from mmkeras.media.cells import stands_for_nothing
from mmkeras.storage.numpy_files import read_npy

__all__ = ["as_floats", "content", "from_text", "read_array"]

_NPY = ".npy"
_MAGIC = b"\x93NUMPY"
"""The first bytes of a .npy file."""
_SPLIT = re.compile(r"[\s,;]+")


def content(value: Any) -> Any:
    """Return the bytes of a file that is not called .npy, such as one of a bundle's samples; other values unchanged."""
    if not isinstance(value, os.PathLike) or str(value).lower().endswith(_NPY):
        return value
    try:
        return Path(value).read_bytes()
    except OSError as error:
        raise DataError(f"{named(value)}: cannot be read: {error.strerror or error}") from None


def read_array(value: Any) -> np.ndarray:
    """Return numbers in any raw form but a mapping as float64 (n,) or (n, features); NaN where one is missing.

    Raises:
        DataError: no numbers, or numbers that are not finite.
    """
    value = content(value)
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        value = _file(data, "series") if data.startswith(_MAGIC) else data.decode("utf-8", "replace")
    elif isinstance(value, os.PathLike) or (isinstance(value, str) and value.strip().lower().endswith(_NPY)):
        value = _file(Path(value), named(value))
    if isinstance(value, str):
        value = from_text(value)
    return as_floats(value)


def _file(source: Path | bytes, name: str) -> np.ndarray:
    try:
        return read_npy(source)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file. For paths that start from a table's folder set files = true") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: expected a .npy file with numbers: {error}") from None


def from_text(text: str) -> Any:
    """Return the cells of a list as JSON has it, or of a text of numbers with blanks, commas or semicolons between."""
    stripped = text.strip()
    if stripped.startswith("[") and not stripped.endswith("]"):
        raise DataError(f"expected a list of numbers such as [1, 2.5, null], got {text!r:.80}")
    if stripped.startswith("["):
        try:
            return json.loads(stripped)
        except (ValueError, RecursionError):  # as numpy prints an array: [1. 2. 3.]
            stripped = stripped[1:-1].strip()
    return [part for part in _SPLIT.split(stripped) if part]


def as_floats(value: Any) -> np.ndarray:
    """Return numbers as float64 (n,) or (n, features); words such as NA are missing numbers."""
    if isinstance(value, str | Mapping) or not (hasattr(value, "__array__") or isinstance(value, Sequence)):
        raise DataError(f"expected a list of numbers, got {type(value).__name__}: {value!r:.60}")
    array: np.ndarray | None = None
    if not hasattr(value, "__array__") or np.asarray(value).dtype.kind in "fiubO":
        try:
            array = np.asarray(value, np.float64)
        except (TypeError, ValueError, OverflowError):
            array = _one_by_one(value)
    if array is None:
        raise DataError(f"expected numbers, got an array of {np.asarray(value).dtype}")
    if array.ndim == 0 or array.size == 0:
        raise DataError("expected a list of numbers, got no step")
    wrong = np.argwhere(np.isinf(array))
    if len(wrong):
        raise DataError(f"step {int(wrong[0][0]) + 1}: expected a finite number, or nothing where one is missing")
    return array


def _one_by_one(value: Any) -> np.ndarray:
    """Return numbers of which some are texts such as NA; the error names the step of the first other cell."""
    nested = [isinstance(row, list | tuple | np.ndarray) for row in value]
    read = [
        [_number(cell, step) for cell in (row if inner else [row])]
        for step, (row, inner) in enumerate(zip(value, nested, strict=True), 1)
    ]
    if len(set(map(len, read))) > 1 or any(nested) != all(nested):
        raise DataError(f"expected the same count of numbers in every step, got {sorted(set(map(len, read)))[:5]}")
    return np.asarray(read, np.float64).reshape(len(read), *([-1] if any(nested) else []))


def _number(cell: Any, step: int) -> float:
    if stands_for_nothing(cell):
        return math.nan
    try:
        return float(cell)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"step {step}: expected a number, got {cell!r:.60}") from None
