"""Targets in records and in memory, and their encoding in numpy, which also runs on devices."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmkeras.core.errors import ConfigError, nearest
from mmkeras.modalities import TensorSpec

__all__ = ["ENCODINGS", "TargetSpec", "as_rows"]

ENCODINGS = ("raw", "png")
_PICTURES = {"uint8": (1, 3, 4), "uint16": (1,)}
"""Numbers of channels that a PNG may have, by dtype."""


@dataclass(frozen=True)
class TargetSpec(TensorSpec):
    """One encoded target of a sample: its name, shape, dtype and encoding in records.

    ``raw`` is the array's bytes in its own dtype, little-endian: an index, numbers, tags of words. ``png`` compresses
    a picture without loss: uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or uint16 (H, W) or (H, W, 1).
    """

    encoding: str = "raw"
    """``raw`` or ``png``."""

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise ConfigError(f"target {self.name}: encoding: {nearest(self.encoding, ENCODINGS)}")
        channels = (*self.shape, 1)[2] if len(self.shape) in (2, 3) else 0
        if self.encoding == "png" and channels not in _PICTURES.get(self.dtype, ()):
            raise ConfigError(
                f"target {self.name}: a PNG holds uint8 (H, W) or (H, W, 1, 3 or 4), or uint16 (H, W) or (H, W, 1), "
                f"got {self.dtype} {self.shape}. Use the encoding raw"
            )

    def __str__(self) -> str:
        """Return dtype, shape and encoding, in the form used by the index of converted data."""
        return f"{self.dtype} {list(self.shape)} {self.encoding}"

    def to_bytes(self, value: np.ndarray) -> bytes:
        """Return the encoded bytes of an array of this shape and dtype."""
        if self.encoding == "raw":
            return np.ascontiguousarray(value, np.dtype(self.dtype).newbyteorder("<")).tobytes()
        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(value.reshape(self._picture)).save(stream, "PNG")
        return stream.getvalue()

    def from_bytes(self, data: bytes) -> np.ndarray:
        """Return the array of encoded bytes.

        Raises:
            ValueError: the bytes are not an array of this shape and dtype.
        """
        if self.encoding == "raw":
            flat = np.frombuffer(data, np.dtype(self.dtype).newbyteorder("<"))
            return flat.reshape(self.shape).astype(self.dtype)
        from PIL import Image

        try:
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                if image.size != (self.shape[1], self.shape[0]):  # before the pixels are decoded
                    raise ValueError(f"the PNG has {image.size[1]} x {image.size[0]} pixels, expected {self.shape}")
                pixels = np.asarray(image)
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise ValueError(f"cannot be decoded as PNG ({error})") from None
        return pixels.reshape(self.shape).astype(self.dtype)

    @property
    def _picture(self) -> tuple[int, ...]:
        """The shape for Pillow, without a dimension for a single channel."""
        return self.shape[:2] if self.shape[2:] == (1,) else self.shape


def as_rows(specs: Sequence[TargetSpec], values: Mapping[str, np.ndarray], count: int | None = None) -> np.ndarray:
    """Return the targets of samples as one array: a single target as it is, several as a record array.

    ``rows["mask"]`` of a record array is the target of that name.

    Args:
        specs: the targets of the task.
        values: arrays by name, each (N, ...), or (...) for one sample.
        count: N; None for one sample.
    """
    if len(specs) == 1:
        return values[specs[0].name]
    kind = np.dtype([(spec.name, spec.dtype, spec.shape) for spec in specs])
    rows = np.zeros(() if count is None else (count,), kind)
    for spec in specs:
        rows[spec.name] = values[spec.name]
    return rows
