"""The scene from above: objects, detections and radar points on a metric grid. Pillow and numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.media.canvas import Canvas, class_colour
from mmkeras.media.geometry import PinholeCamera, Pose

__all__ = ["birds_eye"]

Answer = Mapping[str, Any]

_INK, _GREY, _LIGHT, _SEEN = "#1F2933", "#6B7480", "#D9DEE4", "#EEF3F8"
_RADAR = "#8F7B6B"
_STRIP = 26
_AHEAD, _BEHIND = 50.0, 4.0
"""Metres shown ahead of and behind the vehicle."""
_ROOMY = 8.5
"""Pixels per metre from which tags hold the distance too."""
_SECONDS = 1.0
"""Duration of the movement that a velocity arrow shows."""


class _Plan:
    """Converts metres of the ego frame (x forward, y left) into pixels (x forward is up)."""

    def __init__(self, size: int) -> None:
        self.scale = size / (_AHEAD + _BEHIND)
        self.width = round(size * 0.9)
        self._origin = (self.width / 2, size - _BEHIND * self.scale)

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        return self._origin[0] - y * self.scale, self._origin[1] - x * self.scale


def birds_eye(
    detections: Sequence[Answer],
    truth: Sequence[Answer] | None = None,
    points: np.ndarray | None = None,
    *,
    camera: PinholeCamera,
    camera_pose: Pose,
    height: int,
) -> np.ndarray:
    """Draw the ground around the vehicle, with forward up.

    Args:
        detections: answers to fill with the colour of their class; a bar marks the front, an arrow the movement in one
            second.
        truth: answers to outline.
        points: radar points (N, 8) in the camera's frame; a line shows one second of their radial velocity.
        camera: its field of view is shaded.
        camera_pose: camera -> ego.
        height: of the picture in pixels; at least 126 are used.

    Returns:
        uint8 (height, width, 3); the same size for the same ``height``.
    """
    size = max(height - _STRIP, 100)
    plan = _Plan(size)
    board = Canvas(plan.width, size + _STRIP)
    _field_of_view(board, plan, camera, camera_pose)
    _grid(board, plan)
    # Points lie below the boxes, which the many points of merged sweeps would hide.
    if points is not None and len(points):
        _radar(board, plan, np.asarray(points, np.float64), camera_pose)
    for answer in detections:
        board.polygon(_footprint(plan, answer), class_colour(answer["class"]), 0.75)
    for answer in truth or ():
        outline = _footprint(plan, answer)
        board.line([*outline, outline[0]], _INK, 1.2)
        board.arrow(plan(*answer["centre"][:2]), _ahead(plan, answer), _INK, 1.0)
    for answer in detections:
        _front(board, plan, answer)
    board.polygon([plan(3.6, 0), plan(-0.9, 0.95), plan(-0.9, -0.95)], _INK)  # the vehicle itself
    # The strip of the legend covers shapes that extend below the map.
    board.polygon([(0, size), (plan.width, size), (plan.width, size + _STRIP), (0, size + _STRIP)], "#FFFFFF")
    for answer in detections:
        covered = np.asarray(_footprint(plan, answer))
        board.keep_free(*covered.min(0).tolist(), *covered.max(0).tolist())
    for answer in sorted(detections, key=lambda answer: float(answer.get("distance", 0.0))):
        _tag(board, plan, answer, (1, 1, plan.width - 1, size - 1))
    _legend(board, size + _STRIP / 2, truth is not None, points is not None)
    return board.array()


def _grid(board: Canvas, plan: _Plan) -> None:
    x0, y0 = plan(0, 0)
    for metres in range(10, int(_AHEAD) + 1, 10):
        radius = metres * plan.scale
        board.ring(x0, y0, radius, _LIGHT)
        board.text(x0 + 3, y0 - radius + 7, f"{metres} m", 10, _GREY)
        board.keep_free(x0 + 2, y0 - radius, x0 + 30, y0 - radius + 14)
    board.line([plan(-_BEHIND, 0), plan(_AHEAD, 0)], _LIGHT, 1)


def _field_of_view(board: Canvas, plan: _Plan, camera: PinholeCamera, pose: Pose) -> None:
    far = 2 * _AHEAD
    edges = np.array([[0.0, 0.0], [camera.width, 0.0]])
    edges[:, 1] = camera.centre_y
    left, right = pose.apply(camera.unproject(edges, np.array([far, far])))
    origin = plan(*pose.translation[:2])
    board.polygon([origin, plan(left[0], left[1]), plan(right[0], right[1])], _SEEN)


def _footprint(plan: _Plan, answer: Answer) -> list[tuple[float, float]]:
    width, length, _ = answer["size"]
    cosine, sine = math.cos(answer["yaw"]), math.sin(answer["yaw"])
    x, y = answer["centre"][:2]
    ends = [(length / 2, width / 2), (-length / 2, width / 2), (-length / 2, -width / 2), (length / 2, -width / 2)]
    return [plan(x + cosine * a - sine * b, y + sine * a + cosine * b) for a, b in ends]


def _front(board: Canvas, plan: _Plan, answer: Answer) -> None:
    outline = _footprint(plan, answer)
    board.line([outline[0], outline[3]], _INK, 2.5)
    board.arrow(plan(*answer["centre"][:2]), _ahead(plan, answer), class_colour(answer["class"]), 2.2)


def _ahead(plan: _Plan, answer: Answer) -> tuple[float, float]:
    (x, y), (vx, vy) = answer["centre"][:2], answer["velocity"]
    if vx is None or vy is None or not math.isfinite(vx + vy):
        return plan(x, y)
    return plan(x + _SECONDS * vx, y + _SECONDS * vy)


def _radar(board: Canvas, plan: _Plan, points: np.ndarray, pose: Pose) -> None:
    where, moves = pose.apply(points[:, :3]), pose.rotate(points[:, 4:7])
    for (x, y, _), (vx, vy, _) in zip(where, moves, strict=True):
        start = plan(x, y)
        if math.hypot(vx, vy) > 0.5:
            board.line([start, plan(x + _SECONDS * vx, y + _SECONDS * vy)], _RADAR, 1.0)
        board.dot(*start, min(1.9, 0.2 * plan.scale), _RADAR, "#FFFFFFC0")


def _tag(board: Canvas, plan: _Plan, answer: Answer, area: tuple[float, float, float, float]) -> None:
    x, y = plan(*answer["centre"][:2])
    if not (area[0] <= x <= area[2] and area[1] <= y <= area[3]):
        return
    outline = np.asarray(_footprint(plan, answer))
    left, right, low = outline[:, 0].min(), outline[:, 0].max(), outline[:, 1].max()
    vx, vy = answer["velocity"]
    text = f"{answer['distance']:.0f} m" if answer.get("distance") is not None else ""
    if vx is not None and vy is not None and math.isfinite(vx + vy):
        speed = math.hypot(vx, vy)
        if plan.scale < _ROOMY:
            # In a small picture, the rings show distances and standing objects have no tag.
            text = f"{speed:.0f} m/s" if speed >= 1.0 else ""
        else:
            text = f"{text}  {speed:.0f} m/s".strip()
    if not text:
        return
    width = board.text_width(text, 11) + 9
    places = [(right + 3, y + 8), (left - width, y + 8), (left, low + 18)]
    places += [(x, y + 8 + shift) for x in (right + 3, left - width) for shift in (-17, 17)]
    board.label([text], places, class_colour(answer["class"]), area, 11)


def _legend(board: Canvas, y: float, has_truth: bool, has_points: bool) -> None:
    x = 8.0
    board.polygon([(x, y - 4), (x + 14, y - 4), (x + 14, y + 4), (x, y + 4)], _GREY, 0.75)
    board.line([(x + 14, y - 4), (x + 14, y + 4)], _INK, 2.5)
    x = _entry(board, x + 19, y, "detection")
    if has_truth:
        board.line([(x, y - 4), (x + 14, y - 4), (x + 14, y + 4), (x, y + 4), (x, y - 4)], _INK, 1.2)
        x = _entry(board, x + 19, y, "truth")
    if has_points:
        board.line([(x + 2, y), (x + 16, y)], _RADAR, 1.0)
        board.dot(x + 2, y, 1.9, _RADAR)
        x = _entry(board, x + 21, y, "radar")
    words = "arrow: way of 1 s"
    if x + board.text_width(words) < board.width:
        board.text(x, y, words)


def _entry(board: Canvas, x: float, y: float, text: str) -> float:
    board.text(x, y, text)
    return x + board.text_width(text) + 12
