"""Writes a model's weights so that a full disk ends in an error that names it.

HDF5 keeps what it could not write, and tries again when the process ends: it crashes there. So it writes into memory,
which takes the size of the file for a moment, and the disk sees plain bytes.
"""

from __future__ import annotations

import io
from pathlib import Path

import keras

from mmkeras.storage.files import write_bytes

__all__ = ["save_weights"]


class _Memory(io.BytesIO):
    """A file in memory, with the name that Keras asks for."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_weights(model: keras.Model, path: Path) -> None:
    """Write weights, and the optimizer's where the model is compiled, as ``Model.save_weights`` does.

    Raises:
        OSError: the file cannot be written.
    """
    content = _Memory()
    model.save_weights(content)
    write_bytes(path, content.getvalue())
