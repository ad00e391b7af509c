"""Video files for tests, written by PyAV."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["numbered", "shown", "turned", "write_film"]

SIZE = (48, 64)


def numbered(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Return frames: grey, brighter from one to the next, with a red left half of the top quarter."""
    frames = []
    for number in range(count):
        pixels = np.full((*size, 3), 40 + round(200 * number / max(1, count - 1)), np.uint8)
        pixels[: size[0] // 4, : size[1] // 2] = (230, 20, 20)
        frames.append(pixels)
    return frames


def shown(picture: object) -> float:
    """Return the brightness of the middle of a frame, from 0 to 1 over the frames of `numbered`."""
    pixels = np.asarray(picture)
    middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].mean()
    return float((middle - 40) / 200)


def write_film(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "mpeg4",
    times: Sequence[float] = (),
    rate: int = 10,
    bframes: bool = False,
) -> Path:
    """Write a video file; ``times`` in seconds make its frame rate variable."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if bframes:
            stream.codec_context.max_b_frames = 2
        if times:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times:
                frame.pts, frame.time_base = round(1000 * times[number]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into the track header of an MP4 file, as a phone does that is held upright."""
    data = bytearray(path.read_bytes())
    # After the box's name: version and flags, five numbers (version 0), eight bytes reserved, layer to volume.
    at = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    other = path.with_name(f"turned_{path.name}")
    other.write_bytes(data)
    return other
