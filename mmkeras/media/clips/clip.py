"""Reads clips in every form to pictures on the host (Pillow and numpy; video files by PyAV)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from mmkeras.core.errors import DataError, named
from mmkeras.media.clips.film import read_film
from mmkeras.media.clips.schedule import Frames, schedule, span_of
from mmkeras.media.clips.strip import read_strip
from mmkeras.media.image.formats import ENDINGS, format_of, has_more_frames
from mmkeras.media.image.pixels import RawImage, describe, read_bytes, read_rgb

__all__ = ["Clip", "RawClip", "clip_of", "describe_clip", "pictures_in", "read_clip"]

RawClip: TypeAlias = Any
"""A `Clip`; path or bytes of a video file, of a film strip or of one picture; the path of a folder of pictures, in the
order of their names; a list of pictures, each as `RawImage`; or frames as a uint8 array (N, H, W, 3)."""

_FORMS = (
    "the path or bytes of a video file, a folder of pictures, a list of pictures, a uint8 array (N, H, W, 3) or a Clip"
)
_HEAD = 64
"""Bytes that name the format of a file."""


@dataclass(frozen=True)
class Clip:
    """Frames with their times."""

    frames: Sequence[RawImage] = field(repr=False)
    """Pictures (N,) in any form."""
    times: Sequence[float]
    """Seconds (N,) at which the frames begin, not decreasing."""
    span: tuple[float, float] | None = None
    """Beginning and end in seconds; by default those of the frames. Frames may be lost at both ends."""

    def __post_init__(self) -> None:
        """Check the times, with a `DataError` if they cannot be used."""
        times = np.asarray(self.times, np.float64)
        if times.shape != (len(self.frames),) or not len(times):
            raise DataError(f"Expected one or more frames with a time each, got {len(self.frames)} and {times.shape}")
        if not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise DataError(f"Expected times in seconds that do not decrease, got {times.tolist()!r:.200}")
        if self.span is not None and not (np.isfinite(self.span).all() and self.span[0] < self.span[1]):
            raise DataError(f"Expected a clip that begins before it ends, got the span {self.span}")


def read_clip(value: RawClip, slots: int, seconds: float = 0.0) -> Frames:
    """Return the frames of T slots of time, see `schedule`.

    Pictures in a folder, list or array have equal distances in time. The picture of a file of one is the only frame.

    Raises:
        DataError: no frames, a frame that cannot be used, or another form of value.
        DependencyError: a video file without PyAV; the message names the extra.
    """
    if isinstance(value, Clip):
        return _sampled(value, slots, seconds)
    if isinstance(value, np.ndarray):
        if value.ndim != 4 or not len(value):
            raise DataError(f"Expected frames as a uint8 array (N, H, W, 3), got {value.dtype} {value.shape}")
        value = list(value)
    if isinstance(value, (list, tuple, Image.Image)):
        return _sampled(_evenly(value if isinstance(value, (list, tuple)) else [value]), slots)
    if not isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview)):
        raise DataError(f"Expected a clip as {_FORMS}, got {type(value).__name__}")
    if isinstance(value, (str, os.PathLike)) and _is_folder(value):
        return _sampled(_evenly(pictures_in(Path(value)), f"{named(value)}: "), slots)
    if format_of(_head(value)) in ("", "GIF"):
        return read_film(value, describe_clip(value), slots, seconds)
    if (strip := read_strip(value)) is not None:
        return _sampled(clip_of(*strip), slots, seconds)
    data = read_bytes(value)
    if has_more_frames(data):
        raise DataError(f"{describe(value)}: an animation. Save it as MP4 or GIF, or its frames as files in a folder")
    return _sampled(_evenly([read_rgb(value)]), slots)


def clip_of(frames: np.ndarray, fresh: np.ndarray) -> Clip:
    """Return the clip of the new ones, bool (T,), among frames, uint8 (T, H, W, 3), of one second each."""
    kept = np.flatnonzero(fresh)
    # Without the span, slots before the first and behind the last frame would be left out.
    return Clip([frames[at] for at in kept], kept.tolist(), (0.0, float(len(frames))))


def pictures_in(folder: Path) -> list[Path]:
    """Return the files of pictures in a folder in the order of their names, numbers in them by their value.

    Raises:
        DataError: the folder has no picture.
    """
    found = [each for each in folder.iterdir() if each.suffix.lower() in ENDINGS and not each.name.startswith(".")]
    if not found:
        raise DataError(f"{named(folder)}: expected a folder of pictures (.png, .jpg, ...), got none in it")
    return sorted(
        found, key=lambda each: [(len(part), part) for part in re.split(r"(?<=\D)(?=\d)|(?<=\d)(?=\D)", each.name)]
    )


def describe_clip(value: RawClip) -> str:
    """Return the name of a clip in error messages."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"clip of {len(value):,} bytes"
    if isinstance(value, (list, tuple)):
        return f"clip of {len(value)} pictures"
    return describe(value)


def _evenly(pictures: Sequence[RawImage], name: str = "") -> Clip:
    if not len(pictures):
        raise DataError(f"{name}Expected at least one picture in a clip, got none")
    return Clip(pictures, range(len(pictures)))


def _sampled(clip: Clip, slots: int, seconds: float = 0.0) -> Frames:
    times = np.asarray(clip.times, np.float64)
    chosen = schedule(times, clip.span or span_of(times), slots, seconds)
    pictures = {}
    for number in dict.fromkeys(chosen.frames.tolist()):
        try:
            pictures[number] = read_rgb(clip.frames[number])
        except DataError as error:
            raise DataError(f"frame {number} of a clip of {len(times)}: {error}") from None
    return chosen.of(pictures)


def _is_folder(value: str | os.PathLike[str]) -> bool:
    try:
        return Path(value).is_dir()
    except (OSError, ValueError):  # too long, or a null character: no path
        return False


def _head(value: RawClip) -> bytes:
    """Return the first bytes of a file, without reading all of a video."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value[:_HEAD])
    try:
        path = Path(value)
        if path.is_file():
            with path.open("rb") as file:
                return file.read(_HEAD)
    except (OSError, ValueError):
        pass
    return read_bytes(value)[:_HEAD]  # which raises the error that names the problem
