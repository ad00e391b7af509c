"""Reads the frames of video files by PyAV (FFmpeg).

A first pass reads the times of all frames without decoding them, so that any frame rate, a variable one too, and files
whose header states no or a wrong length are read alike. A second pass decodes up to the last frame that is needed.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.core.errors import DataError, require
from mmkeras.media.clips.schedule import Frames, schedule, span_of
from mmkeras.media.image.orientation import upright

__all__ = ["FILM_ENDINGS", "cut_off", "read_film"]

FILM_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".flv"),
    *(".wmv", ".ogv"),
)
"""Of the names of video files."""
_FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,ivf,flv,asf,ogg,gif"
"""Containers that are opened. Playlists (HLS, concat) are not: they name other files and addresses."""
_COVER = 1 << 10
"""FFmpeg's flag of a stream that is the cover of a song."""
_MOST_PIXELS = 1 << 25
"""Of a frame: a little more than 7680x4320. Larger frames are refused before they are decoded."""
_AWAY = 8.0
"""Seconds between two frames from which a key frame is searched: decoding what is between them would take longer."""
_ENOUGH = 0.9
"""Share of the stated length from which a file counts as whole."""
_TURNED = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
"""The display matrix (signs of a, b, c and d) as EXIF orientation: (x, y) is shown at (a x + c y, b x + d y)."""


def read_film(value: Any, name: str, slots: int, seconds: float = 0.0) -> Frames:
    """Return the frames of T slots of time, upright by the file's display matrix; see `schedule`.

    Frames that are damaged are lost frames: their slots keep the frame before, which is not fresh.

    Args:
        value: path or bytes of a video file; its sound is not read.
        name: of the file in messages.
        slots: T.
        seconds: length of the part that the slots cover, 0 for the whole clip.

    Raises:
        DataError: no video file, or no frame of it can be decoded.
        DependencyError: PyAV is not installed.
    """
    times, stamps = _times(value, name)
    chosen = schedule(times, span_of(times), slots, seconds)
    wanted = sorted(set(chosen.frames.tolist()))
    pictures = _decoded(value, name, wanted, times, stamps)
    if not pictures:
        raise DataError(f"{name}: none of {len(times)} frames can be decoded: the file is damaged or was cut off")
    return chosen.of(pictures)


def cut_off(value: Any, name: str) -> bool:
    """Return whether a video file has less frames than its header states, as after an interrupted copy."""
    times, _ = _times(value, name)
    with _opened(value, name) as (container, stream):
        stated = float(stream.duration * stream.time_base) if stream.duration else float(container.duration or 0) / 1e6
    start, end = span_of(times)
    return end - start < _ENOUGH * stated


@contextlib.contextmanager
def _opened(value: Any, name: str) -> Iterator[tuple[Any, Any]]:
    av = require("av", "video", "av")
    # Opened here: FFmpeg would take a path such as http://... or concat:... for an address.
    with contextlib.ExitStack() as stack:
        if isinstance(value, (str, os.PathLike)):
            try:
                file: Any = stack.enter_context(Path(value).open("rb"))
            except OSError as error:
                raise DataError(f"{name}: cannot be read: {error.strerror}") from None
        else:
            file = io.BytesIO(bytes(value))
        try:
            container = stack.enter_context(av.open(file, options={"format_whitelist": _FORMATS}))
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise DataError(
                f"{name}: cannot be opened as a video: {_reason(error)}. Expected MP4, MKV, WebM, AVI, ..."
            ) from None
        found = [each for each in container.streams.video if not int(each.disposition) & _COVER]
        if not found:
            raise DataError(f"{name}: expected a video, got a file without pictures")
        stream = found[0]
        if stream.codec_context is None:
            raise DataError(f"{name}: a video in a coding that FFmpeg does not know here. Save it as H.264 in MP4")
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > _MOST_PIXELS:
            raise DataError(f"{name}: {width}x{height} pixels: more than the {_MOST_PIXELS:,} that are accepted")
        yield container, stream


def _times(value: Any, name: str) -> tuple[np.ndarray, dict[int, int]]:
    """Return the times of all frames (N,) in seconds, and the number of each frame by its time stamp.

    Where frames have no time stamps the second result is empty; they are then numbered in their order.
    """
    av = require("av", "video", "av")
    found, untimed = [], 0
    with _opened(value, name) as (container, stream):
        base, rate = stream.time_base, stream.average_rate or stream.guessed_rate
        with contextlib.suppress(av.error.FFmpegError):  # what is damaged ends the file
            for packet in container.demux(stream):
                if not packet.size or getattr(packet, "is_discard", False):
                    continue
                if packet.pts is None:
                    untimed += 1
                else:
                    found.append(packet.pts)
    if not found and not untimed:
        raise DataError(f"{name}: the video has no frames")
    if untimed or base is None:
        return np.arange(len(found) + untimed) / float(rate or 25), {}
    stamps = sorted(set(found))
    return np.array([float(stamp * base) for stamp in stamps]), {stamp: at for at, stamp in enumerate(stamps)}


def _decoded(
    value: Any, name: str, wanted: list[int], times: np.ndarray, stamps: dict[int, int]
) -> dict[int, Image.Image]:
    """Return the wanted frames, by number, as far as they can be decoded."""
    av = require("av", "video", "av")
    by_number = {at: stamp for stamp, at in stamps.items()}
    pictures: dict[int, Image.Image] = {}
    with _opened(value, name) as (container, stream):
        order = 0
        for run in _runs(wanted, times) if stamps else [wanted]:
            if stamps and times[run[0]] - times[0] > _AWAY:
                with contextlib.suppress(av.error.FFmpegError):  # a damaged index: decode from here on
                    container.seek(by_number[run[0]], stream=stream)
            for frame in _frames(container, stream, av):
                number = stamps.get(frame.pts, -1) if stamps else order
                order += 1
                if number in run and not frame.is_corrupt and frame.width * frame.height <= _MOST_PIXELS:
                    # One thread: FFmpeg would start as many as there are cores for every frame.
                    pictures[number] = upright(frame.to_image(threads=1), _orientation(frame))
                if number >= run[-1]:
                    break
    return pictures


def _runs(wanted: list[int], times: np.ndarray) -> list[list[int]]:
    """Return the numbers of frames in groups that are decoded in one go."""
    gaps = np.diff(times[wanted]) > _AWAY
    return [part.tolist() for part in np.split(np.asarray(wanted), np.flatnonzero(gaps) + 1)]


def _frames(container: Any, stream: Any, av: Any) -> Iterator[Any]:
    """Yield the frames that can be decoded."""
    try:
        for packet in container.demux(stream):
            with contextlib.suppress(av.error.FFmpegError):
                yield from packet.decode()
    except av.error.FFmpegError:
        return


def _orientation(frame: Any) -> int:
    """Return the EXIF orientation, 1 to 8, that corresponds to the display matrix of a frame."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
            signs = tuple((value > 1 << 15) - (value < -(1 << 15)) for value in (a, b, c, d))
            return _TURNED.get(signs, 1)
    return 1


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
