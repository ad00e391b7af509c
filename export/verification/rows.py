"""Arrays of many samples, written and read a batch at a time: in memory while small, else in a temporary file.

The maps of a few hundred samples in every scenario are larger than memory. The file is not memory-mapped, because
mapped pages count as memory of the process.
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
    """Rows (N, ...) in a temporary file, removed with the object. Indexed by a slice or positions (n,)."""

    def __init__(self, count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Create the file.

        Raises:
            ExportError: there is too little free disk space.
        """
        self.shape = (count, *shape)
        self.dtype = dtype
        self._bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        folder = tempfile.gettempdir()
        needed, free = count * self._bytes, shutil.disk_usage(folder).free
        if needed + _SPARE > free:
            raise ExportError(
                f"Verification keeps {needed / 1e9:.1f} GB of inputs or outputs on the disk, and {folder} has "
                f"{free / 1e9:.1f} GB free. Free some space, set TMPDIR to another folder, or verify "
                "fewer samples (--export.samples)."
            )
        # Unbuffered: Python's own buffer would copy every row once more.
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115

    def __del__(self) -> None:
        """Close and so remove the file."""
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
"""N rows that are read by slices or positions."""


def allocate(count: int, like: np.ndarray) -> Rows:
    """Return storage for ``count`` rows with the row shape and dtype of a batch (B, ...)."""
    if count * like[:1].nbytes <= IN_MEMORY or like.dtype.hasobject:
        return np.empty((count, *like.shape[1:]), like.dtype)
    return FileRows(count, like.shape[1:], like.dtype)
