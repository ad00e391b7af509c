"""Draws answers: the camera's picture with boxes and radar points, beside the map from above."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.core.errors import DataError
from mmkeras.driving.stream.detector import BundleDetector
from mmkeras.driving.stream.messages import Answer
from mmkeras.tasks.detection.birds_eye import birds_eye
from mmkeras.tasks.detection.picture import beside, camera_picture

__all__ = ["annotated", "has_mp4", "write_video"]

_WIDTH = 1024
_CODECS = ("libx264", "h264", "mpeg4")


def annotated(answer: Answer, detector: BundleDetector, start: int) -> np.ndarray:
    """Draw one answer with the seconds since ``start``, and a placeholder for a missing picture.

    Returns:
        uint8 (H, W, 3), the same size for every answer of one model.
    """
    camera = detector.camera
    missing = Image.new("RGB", (round(camera.width), round(camera.height)), (24, 28, 33))
    place = (missing.width / 2, missing.height / 6)
    ImageDraw.Draw(missing).text(place, "no picture", (140, 148, 158), anchor="mm")
    image = np.asarray(missing)
    # The picture of a skipped or frozen frame is shown, too.
    if answer.frame is not None:
        with contextlib.suppress(DataError):
            image = np.asarray(detector.window(answer.frame).read())
    why = f" ({answer.reason})" if answer.reason else ""
    latency = f"   {answer.stages['total'] / 1e3:.1f} ms" if answer.stages else ""
    title = f"{(answer.arrived - start) / 1e6:6.2f} s   {answer.kind}{why}{latency}"
    scale = max(round(_WIDTH / camera.width), 1)
    left = camera_picture(
        image, answer.detections, points=answer.points, camera=camera, camera_pose=answer.pose, scale=scale, title=title
    )
    height = max(left.shape[0] - 26, 266)
    right = birds_eye(answer.detections, points=answer.points, camera=camera, camera_pose=answer.pose, height=height)
    return beside(left, right)


def has_mp4() -> bool:
    """Return whether PyAV is installed (``pip install 'mmkeras[stream]'``)."""
    return importlib.util.find_spec("av") is not None


def write_video(stem: Path, pictures: Iterable[np.ndarray], rate: float) -> Path:
    """Write a video of uint8 pictures (H, W, 3) of one size, at least one, at ``rate`` pictures a second.

    Returns:
        The file: ``.mp4`` where PyAV is installed, otherwise ``.webp`` at half the size.
    """
    if has_mp4():
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
