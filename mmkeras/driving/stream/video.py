"""Writes pictures as a video: MP4 by PyAV, or an animated WebP by Pillow where that is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["has_mp4", "write_video"]

_CODECS = ("libx264", "h264", "mpeg4")


def has_mp4() -> bool:
    """Return whether PyAV is installed (``pip install 'mmkeras[stream]'``)."""
    return importlib.util.find_spec("av") is not None


def write_video(stem: Path, pictures: Iterable[np.ndarray], rate: float, *, mp4: bool | None = None) -> Path:
    """Write a video.

    Args:
        stem: path without its ending.
        pictures: uint8 (H, W, 3), all of one size; at least one.
        rate: pictures a second.
        mp4: MP4 or WebP; MP4 where PyAV is installed when not given.

    Returns:
        The file: ``.mp4``, or ``.webp`` at half the size.
    """
    if has_mp4() if mp4 is None else mp4:
        return _write_mp4(stem.with_suffix(".mp4"), pictures, rate)
    return _write_webp(stem.with_suffix(".webp"), pictures, rate)


def _write_mp4(path: Path, pictures: Iterable[np.ndarray], rate: float) -> Path:
    import av

    codec = next(name for name in _CODECS if name in av.codecs_available)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1000))
        stream.pix_fmt = "yuv420p"
        if codec != "mpeg4":
            stream.options = {"crf": "23", "preset": "veryfast"}
        first = True
        for picture in pictures:
            # 4:2:0 halves both sides, so they must be even.
            even = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
            if first:
                stream.height, stream.width = even.shape[:2]
                first = False
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    return path


def _write_webp(path: Path, pictures: Iterable[np.ndarray], rate: float) -> Path:
    images = [Image.fromarray(picture).reduce(2) for picture in pictures]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=max(round(1000 / rate), 1), loop=0, quality=70, method=2
    )
    return path
