"""Looks at the lengths of TFRecords before TensorFlow does, which makes room for whatever a record says it has."""

from __future__ import annotations

from pathlib import Path

from mmkeras.core.errors import DataError
from mmkeras.data.index import Index

__all__ = ["check_lengths", "lengths_fit"]

_HEADER, _AROUND = 8, 16
"""Bytes of a length; of the length, its checksum and that of the record."""


def lengths_fit(path: Path) -> bool:
    """Return whether the records of a file lie end to end in it."""
    total, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < total:
            file.seek(offset)
            offset += _AROUND + int.from_bytes(file.read(_HEADER), "little")
    return offset == total


def check_lengths(index: Index, split: str) -> None:
    """Check the shards of a split.

    Raises:
        DataError: a shard is gone, cut off, or a record says that it is longer than its file.
    """
    for name in index.files(split):
        try:
            fits = lengths_fit(Path(name))
        except OSError as error:
            raise DataError(f"{name}: cannot be read: {error.strerror}. Delete the folder and convert again") from None
        if not fits:
            raise DataError(
                f"{name}: a shard is damaged: its records are longer or shorter than the file. Delete the folder and "
                "convert again"
            )
