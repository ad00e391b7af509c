"""Boxes and radar points drawn over the camera image. Pillow and numpy only.

Boxes are answers of the task's ``decode``, in the ego frame. Radar points are (N, 8) in the camera's frame: x y z rcs
vx vy vz dt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.core.rounding import percent
from mmkeras.media.canvas import Canvas, class_colour, depth_colour
from mmkeras.media.geometry import BOX_EDGES, PinholeCamera, Pose, box_corners

__all__ = ["beside", "camera_picture", "corners"]

Answer = Mapping[str, Any]

_INK, _GREY = "#1F2933", "#6B7480"
_TRUTH = "#FFFFFF"
_STRIP, _TITLE = 26, 26
_NEAR = 0.3
"""Depth (m) of the plane at which boxes are cut."""
_REACH = 60.0
"""Depth (m) at which the colours of radar points end."""


def corners(answer: Answer) -> np.ndarray:
    """Return the corners (8, 3) of a box in the ego frame, in the order of `mmkeras.media.geometry.box_corners`.

    Args:
        answer: ``centre`` (x, y, z), ``size`` (width, length, height) in metres and ``yaw`` in radians.
    """
    turn = Pose.flat(0.0, 0.0, answer["yaw"]).matrix[:3, :3]
    centre, size = (np.array([answer[key]], np.float64) for key in ("centre", "size"))
    return np.asarray(box_corners(centre, size, turn[None])[0])


def camera_picture(
    image: np.ndarray,
    detections: Sequence[Answer],
    truth: Sequence[Answer] | None = None,
    points: np.ndarray | None = None,
    *,
    camera: PinholeCamera,
    camera_pose: Pose,
    scale: int = 3,
    title: str = "",
) -> np.ndarray:
    """Draw boxes, classes, speeds and radar points over a camera image.

    Args:
        image: the model's input, uint8 (H, W, 3); of the camera's size.
        detections: answers to draw in the colour of their class, with score and speed.
        truth: answers to draw dashed and white.
        points: radar points (N, 8) in the camera's frame; the colour shows the depth, and the mark of a point goes up
            if it moves away and down if it comes closer.
        camera: the camera of the image.
        camera_pose: camera -> ego.
        scale: pixels of the picture for one of the image.
        title: a line above; without it the picture is less high.

    Returns:
        uint8 (height, width, 3); its size depends only on camera, scale and the presence of a title.
    """
    width, height = round(camera.width * scale), round(camera.height * scale)
    top = _TITLE if title else 0
    board = Canvas(width, height, _INK)
    board.paste(image, 0, 0, width, height)
    to_camera = camera_pose.inverse
    for answer in truth or ():
        _wire(board, answer, camera, to_camera, scale, _TRUTH, 1.0, dashed=True)
    if points is not None and len(points):
        _radar_marks(board, points, camera, scale)
    order = sorted(detections, key=lambda answer: -float(answer.get("distance", 0.0)))
    for answer in order:
        _wire(board, answer, camera, to_camera, scale, class_colour(answer["class"]), 1.8)
    for answer in order[::-1]:
        _tag(board, answer, camera, to_camera, scale)
    frame = Canvas(width, top + height + _STRIP)
    frame.paste(board.array(), 0, top, width, height)
    if title:
        frame.text(8, top / 2, title, 13)
    _camera_legend(frame, detections, truth is not None, points is not None, top + height + _STRIP / 2)
    return frame.array()


def beside(*pictures: np.ndarray) -> np.ndarray:
    """Return pictures, uint8 (H, W, 3), next to each other on white, as high as the highest of them."""
    height = max(picture.shape[0] for picture in pictures)
    parts = []
    for picture in pictures:
        margin = height - picture.shape[0]
        sides = ((margin // 2, margin - margin // 2), (0, 0), (0, 0))
        parts.append(np.pad(picture, sides, constant_values=255))
    return np.concatenate(parts, axis=1)


def _wire(
    board: Canvas,
    answer: Answer,
    camera: PinholeCamera,
    to_camera: Pose,
    scale: float,
    colour: str,
    width: float,
    *,
    dashed: bool = False,
) -> None:
    halo = "#00000080" if dashed else "#FFFFFFB0"
    points = to_camera.apply(corners(answer))
    for start, end in BOX_EDGES:
        edge = _clipped(points[start], points[end])
        if edge is not None:
            pixels = np.clip(camera.project(edge) * scale, -4000, 8000)
            board.line(pixels.tolist(), colour, width, dashed=dashed, halo=halo)


def _clipped(start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
    """Return the part (2, 3) of an edge (camera frame) in front of the near plane; ``None`` if all of it is behind."""
    if start[2] < _NEAR and end[2] < _NEAR:
        return None
    if start[2] >= _NEAR and end[2] >= _NEAR:
        return np.stack([start, end])
    share = (_NEAR - start[2]) / (end[2] - start[2])
    cut = start + share * (end - start)
    cut[2] = max(cut[2], _NEAR)
    return np.stack([cut, end] if start[2] < _NEAR else [start, cut])


def _tag(board: Canvas, answer: Answer, camera: PinholeCamera, to_camera: Pose, scale: float) -> None:
    points = to_camera.apply(corners(answer))
    points = points[points[:, 2] > _NEAR]
    if not len(points):
        return
    pixels = camera.project(points)
    box = np.concatenate([pixels.min(0), pixels.max(0)])
    if box[2] < 0 or box[3] < 0 or box[0] > camera.width or box[1] > camera.height:
        return
    left, top, right, bottom = np.clip(box, 0, [camera.width, camera.height] * 2) * scale
    vx, vy = answer["velocity"]
    speed = f"{math.hypot(vx, vy) if vx is not None and vy is not None else math.nan:.0f} m/s"
    score = f"{answer['class'].replace('_', ' ')} {percent(float(answer['score']), 0)} %"
    height = 17
    places = [(left, top - 2), (left, bottom + height + 2), (right + 3, top + height), (left - 90, top + height)]
    places += [(left, top - 2 - height), (left, bottom + 2 * height + 2), (left, top - 2 - 2 * height)]
    area = (1, 1, camera.width * scale - 1, camera.height * scale - 1)
    board.label([f"{score}  {speed}", score, speed], places, class_colour(answer["class"]), area)


def _radar_marks(board: Canvas, points: np.ndarray, camera: PinholeCamera, scale: float) -> None:
    pixels = camera.project(points[:, :3]) * scale
    inside = camera.contains(pixels / scale)
    for i in np.argsort(-points[:, 2]):
        if not inside[i]:
            continue
        x, y = pixels[i]
        colour = depth_colour(float(points[i, 2]), _REACH)
        # The radial velocity in m/s; positive is away from the camera.
        rate = float(points[i, :3] @ points[i, 4:7]) / max(float(np.linalg.norm(points[i, :3])), 1e-6)
        if abs(rate) > 0.5:
            board.line([(x, y), (x, y - 2.2 * rate)], colour, 1.6, halo="#000000A0")
        board.dot(x, y, 2.6, colour, "#000000C0")


def _camera_legend(frame: Canvas, detections: Sequence[Answer], has_truth: bool, has_points: bool, y: float) -> None:
    x = 8.0
    if has_truth:
        frame.polygon([(x - 2, y - 7), (x + 26, y - 7), (x + 26, y + 7), (x - 2, y + 7)], _GREY)
        frame.line([(x, y), (x + 24, y)], _TRUTH, 1.5, dashed=True)
        x = _entry(frame, x + 30, y, "truth")
    for name in sorted({answer["class"] for answer in detections}):
        frame.polygon([(x, y - 5), (x + 11, y - 5), (x + 11, y + 5), (x, y + 5)], class_colour(name))
        x = _entry(frame, x + 15, y, name.replace("_", " "))
    if not has_points:
        return
    words = "radar: up = moves away"
    x = max(x, frame.width - 118 - frame.text_width(f"{_REACH:.0f} m") - frame.text_width(words))
    frame.text(x, y, "0")
    for i in range(70):
        frame.line([(x + 12 + i, y - 5), (x + 12 + i, y + 5)], depth_colour(i / 69 * _REACH, _REACH), 1.5)
    x = _entry(frame, x + 88, y, f"{_REACH:.0f} m")
    if x + frame.text_width(words) < frame.width:
        frame.text(x, y, words)


def _entry(frame: Canvas, x: float, y: float, text: str) -> float:
    frame.text(x, y, text)
    return x + frame.text_width(text) + 14
