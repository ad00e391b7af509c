"""Clips in records: a film strip, one PNG file with the frames below each other.

Below each frame is a row of pixels that is white where the frame is a new one, and black where it repeats the frame
before. The text chunk ``film strip`` has the number of frames. Any viewer shows the file, and TensorFlow decodes it by
one operation. PNG changes no pixel.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from mmkeras.core.errors import DataError
from mmkeras.media.image.orientation import PNG

__all__ = ["read_strip", "write_strip"]

_MARK = "film strip"


def write_strip(frames: np.ndarray, fresh: np.ndarray) -> bytes:
    """Return the PNG file of frames, uint8 (T, H, W, 3), and whether each is a new one, bool (T,)."""
    count, height, width, _ = frames.shape
    strip = np.zeros((count, height + 1, width, 3), np.uint8)
    strip[:, :height] = frames
    strip[:, height] = np.where(fresh, 255, 0)[:, None, None]
    mark = PngImagePlugin.PngInfo()
    mark.add_text(_MARK, str(count))
    stream = io.BytesIO()
    Image.fromarray(strip.reshape(count * (height + 1), width, 3)).save(stream, "PNG", pnginfo=mark)
    return stream.getvalue()


def read_strip(value: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the frames (T, H, W, 3) and flags (T,) of `write_strip`, or None for anything else than a film strip.

    Args:
        value: path or bytes of a file.

    Raises:
        DataError: a film strip that is damaged.
    """
    data = _png(value)
    if not data:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if _MARK not in image.info:
                return None
            count = int(image.info[_MARK])
            if image.mode != "RGB" or count < 1 or image.height % count or image.height < 2 * count:
                raise ValueError(f"{count} frames in {image.width}x{image.height} pixels, {image.mode}")
            strip = np.asarray(image).reshape(count, image.height // count, image.width, 3)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"a film strip that is damaged: {error}") from None
    flags = strip[:, -1]
    if not (np.isin(flags, (0, 255)).all() and (flags == flags[:, :1, :1]).all() and flags[0, 0, 0]):
        raise DataError("a film strip that is damaged: the rows between its frames are not black or white")
    return strip[:, :-1], flags[:, 0, 0] > 0


def _png(value: Any) -> bytes:
    """Return the bytes of a PNG file; nothing of anything else."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value) if bytes(value[: len(PNG)]) == PNG else b""
    if isinstance(value, (str, os.PathLike)):
        try:
            path = Path(value)
            if path.is_file():
                with path.open("rb") as file:
                    return PNG + file.read() if file.read(len(PNG)) == PNG else b""
        except (OSError, ValueError):
            pass
    return b""
