"""What an answer looks like: the camera's picture with boxes and radar points beside the map from above."""

from __future__ import annotations

import contextlib

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.core.errors import DataError
from mmkeras.driving.stream.detector import BundleDetector
from mmkeras.driving.stream.messages import Answer
from mmkeras.tasks.detection.picture import beside, birds_eye, camera_picture

__all__ = ["annotated"]

_WIDTH = 1024
"""Pixels of the camera's picture, about."""


def annotated(answer: Answer, detector: BundleDetector, start: int) -> np.ndarray:
    """Draw one answer; without a picture the camera's side says so.

    Args:
        answer: of a stream.
        detector: knows the model's camera.
        start: moment from which the title counts.

    Returns:
        uint8 (H, W, 3), the same size for every answer of one model.
    """
    camera = detector.camera
    image = _no_picture(round(camera.width), round(camera.height))
    # The picture of a skipped or frozen frame is shown, too: it came.
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
    size = max(left.shape[0] - 52, 240)
    right = birds_eye(answer.detections, points=answer.points, camera_pose=answer.pose, camera=camera, size=size)
    return beside(left, right)


def _no_picture(width: int, height: int) -> np.ndarray:
    image = Image.new("RGB", (width, height), (24, 28, 33))
    ImageDraw.Draw(image).text((width / 2, height / 6), "no picture", (140, 148, 158), anchor="mm")
    return np.asarray(image)
