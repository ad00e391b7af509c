"""Arrays of many samples, written and read a batch at a time: in memory while small, else in a temporary file.

The maps of a few hundred samples in every scenario are larger than memory. A memory-mapped file would count as memory
of the process, so that the file is read and written instead.
"""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import numpy as np

from mmkeras.core.errors import ExportError

__all__ = ["IN_MEMORY", "FileRows", "Rows", "allocate"]

IN_MEMORY = 8 * 2**20
"""Bytes of an array up to which it stays in memory."""
_SPARE = 2**30


class FileRows:
    """Rows (N, ...) in a temporary file, which vanishes with the object. Slices and positions (n,) give arrays."""

    def __init__(self, count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Make room.

        Raises:
            ExportError: the disk has too little.
        """
        self.shape = (count, *shape)
        self.dtype = dtype
        self._bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        folder = tempfile.gettempdir()
        needed, free = count * self._bytes, shutil.disk_usage(folder).free
        if needed + _SPARE > free:
            raise ExportError(
                f"Verification keeps {needed / 1e9:.1f} GB of inputs or outputs on the disk, and {folder} has "
                f"{free / 1e9:.1f} GB left. Make room, set TMPDIR to another folder, or verify fewer samples "
                "(--export.samples)."
            )
        # Unbuffered: Python's own buffer would copy every row once more.
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115

    def __del__(self) -> None:
        """Give the memory and the disk back."""
        if hasattr(self, "_file"):
            self._file.close()

    def __len__(self) -> int:
        return self.shape[0]

    def __setitem__(self, rows: slice, values: np.ndarray) -> None:
        start, _, _ = rows.indices(len(self))
        self._file.seek(start * self._bytes)
        left = np.ascontiguousarray(values, self.dtype).reshape(-1).view(np.uint8).data
        while left:
            left = left[self._file.write(left) :]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return self._read(start, max(stop - start, 0))
        return np.concatenate([self._read(int(row), 1) for row in rows] or [self._read(0, 0)])

    def _read(self, start: int, count: int) -> np.ndarray:
        found = np.empty((count, *self.shape[1:]), self.dtype)
        self._file.seek(start * self._bytes)
        left = found.reshape(-1).view(np.uint8).data
        while left:
            read = self._file.readinto(left)
            if not read:
                raise ExportError("A temporary file of the verification is shorter than what was written into it.")
            left = left[read:]
        return found


Rows = np.ndarray | FileRows
"""N rows of which any slice and any positions can be read."""


def allocate(count: int, like: np.ndarray) -> Rows:
    """Return arrays for rows (N, ...) of the shape and dtype of those of a batch (B, ...)."""
    if count * like[:1].nbytes <= IN_MEMORY or like.dtype.hasobject:
        return np.empty((count, *like.shape[1:]), like.dtype)
    return FileRows(count, like.shape[1:], like.dtype)
