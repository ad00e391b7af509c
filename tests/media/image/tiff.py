"""Uncompressed TIFF files of any kind of values, most of which Pillow cannot write."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Literal

import numpy as np

__all__ = ["tiff"]


def tiff(values: np.ndarray, photometric: int = 2, order: Literal["<", ">"] = "<", **given: int) -> bytes:
    """Return values (H, W) or (H, W, channels) as a TIFF file.

    Args:
        values: of any dtype of numbers.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 5 CMYK, 6 YCbCr.
        order: ``<`` or ``>``, the byte order.
        given: further tags, by name in `TAGS`.
    """
    height, width, channels = (*values.shape, 1)[:3]
    planes = [values]
    if given.get("planes") == 2:
        planes = [values[..., channel] for channel in range(channels)]
    parts = [plane.astype(plane.dtype.newbyteorder(order)).tobytes() for plane in planes]
    offsets = np.cumsum([8, *map(len, parts)])
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = {
        256: [width],
        257: [height],
        258: [8 * values.dtype.itemsize] * channels,
        259: [1],
        262: [photometric],
        273: [int(offset) for offset in offsets[:-1]],
        277: [channels],
        278: [height],
        279: [len(part) for part in parts],
        339: [kind] * channels,
        **{TAGS[name]: [value] for name, value in given.items()},
    }
    return (
        struct.pack(f"{order}2sHI", _marks[order], 42, offsets[-1])
        + b"".join(parts)
        + _directory(tags, order, int(offsets[-1]))
    )


TAGS = {"orientation": 274, "planes": 284, "tile_width": 322, "tile_height": 323, "inks": 332, "extra": 338}
_marks = {"<": b"II", ">": b"MM"}


def _directory(tags: Mapping[int, list[int]], order: str, start: int) -> bytes:
    behind = start + 2 + 12 * len(tags) + 4
    entries, further = b"", b""
    for tag, values in sorted(tags.items()):
        content = struct.pack(f"{order}{len(values)}I", *values)
        if len(content) > 4:
            place = struct.pack(f"{order}I", behind + len(further))
            further += content
        else:
            place = content
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + place
    return struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + further
