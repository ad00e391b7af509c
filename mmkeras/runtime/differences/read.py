"""Reads the contents of exported files without an engine."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.runtime.differences.contents import Contents
from mmkeras.runtime.differences.onnx_contents import read_onnx
from mmkeras.runtime.differences.tflite_contents import read_tflite

__all__ = ["READERS", "read_contents"]

READERS: dict[str, Callable[[bytes], Contents]] = {"tflite": read_tflite, "onnx": read_onnx}


def read_contents(path: Path, format: str) -> Contents | None:
    """Return a file's contents; None for a format without a reader.

    Raises:
        DataError: the file is not of its format, or truncated.
    """
    if format not in READERS:
        return None
    try:
        return READERS[format](path.read_bytes())
    except (struct.error, IndexError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as {format}: {error}. Copy or export the bundle again.") from error
