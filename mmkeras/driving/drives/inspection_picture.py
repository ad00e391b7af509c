"""The picture of a calibration check: radar points over camera images with their boxes, and the yaw search."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mmkeras.driving.drives.alignment import YAWS, Turn
from mmkeras.driving.drives.snapshot import Snapshot
from mmkeras.media.canvas import Canvas, depth_colour
from mmkeras.media.geometry import BOX_EDGES, project
from mmkeras.media.image.pixels import read_rgb

__all__ = ["inspection_picture"]

_WIDTH, _GAP, _REACH = 560, 12, 60.0
_CURVE = 130
_INK, _GREY, _LIGHT = "#1F2933", "#6B7480", "#D9DEE4"
_GRADES = {"good": "#009E73", "unproven": "#0072B2", "suspicious": "#E69F00", "wrong": "#D55E00"}


def inspection_picture(grade: str, reasons: Sequence[str], turn: Turn | None, snapshots: Sequence[Snapshot]) -> bytes:
    """Draw the verdict, the agreement over the yaw (if measured) and overlays of the snapshots, as PNG bytes."""
    columns = min(2, len(snapshots))
    width = 2 * (_WIDTH + _GAP) + _GAP
    tiles = [_overlay(snapshot, _WIDTH if columns > 1 else width - 2 * _GAP) for snapshot in snapshots]
    lines = textwrap.wrap("; ".join(reasons), width // 8)
    head = 44 + 18 * len(lines)
    curve = _CURVE + 34 if turn is not None else 0
    names = [snapshot.name[:60] for snapshot in snapshots]
    rows = [list(zip(tiles, names, strict=True))[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(len(tile) for tile, _ in row) + 22 for row in rows]
    board = Canvas(width, head + curve + sum(heights) + _GAP + 24)
    board.polygon([(0, 0), (width, 0), (width, 5), (0, 5)], _GRADES.get(grade, _INK))
    board.text(_GAP, 24, f"Calibration: {grade}", 18, _INK)
    for number, line in enumerate(lines):
        board.text(_GAP, 48 + 18 * number, line, 13, _INK)
    if turn is not None:
        _curve(board, turn, head, width)
    top = head + curve
    for row, height in zip(rows, heights, strict=True):
        for place, (tile, name) in enumerate(row):
            left = _GAP + place * (_WIDTH + _GAP)
            board.paste(tile, left, top + 16, tile.shape[1], tile.shape[0])
            board.text(left, top + 8, name, 11, _GREY)
        top += height
    _legend(board, top + _GAP)
    stream = io.BytesIO()
    Image.fromarray(board.array()).save(stream, "PNG")
    return stream.getvalue()


def _overlay(snapshot: Snapshot, width: int) -> np.ndarray:
    source = read_rgb(snapshot.path)
    scale = width / source.width
    height = round(source.height * scale)
    board = Canvas(width, height, "#000000")
    board.paste(np.asarray(source), 0, 0, width, height)
    for box in snapshot.boxes:
        corners = snapshot.camera.inverse.apply(box.corners())
        if corners[:, 2].min() < 0.5:
            continue
        pixels = project(corners, snapshot.intrinsic) * scale
        colour = "#FFFFFF" if box.radar_points else "#FFFFFF70"
        for start, end in BOX_EDGES:
            board.line([pixels[start].tolist(), pixels[end].tolist()], colour, 1.0, halo="#00000060")
    points = snapshot.points[snapshot.points[:, 2] > 0.5]
    for point, (x, y) in zip(points, project(points[:, :3], snapshot.intrinsic) * scale, strict=True):
        if 0 <= x < width and 0 <= y < height:
            board.dot(float(x), float(y), 1.8, depth_colour(float(point[2]), _REACH), "#000000B0")
    return board.array()


def _curve(board: Canvas, turn: Turn, top: int, width: int) -> None:
    left, right = _GAP + 4, width - _GAP - 4
    base = top + _CURVE

    def column(yaw: float) -> float:
        return left + (yaw - YAWS[0]) / (YAWS[-1] - YAWS[0]) * (right - left)

    board.line([(left, base), (right, base)], _GREY, 1)
    for yaw in range(-10, 11, 2):
        board.line([(column(yaw), base), (column(yaw), base + 4)], _GREY, 1)
        board.text(column(yaw), base + 12, f"{yaw:+d}" if yaw else "0", 11, _GREY, "mm")
    board.line([(column(0), top + 8), (column(0), base)], _LIGHT, 2)
    heights = [
        (column(float(yaw)), base - float(value) * (_CURVE - 26)) for yaw, value in zip(YAWS, turn.curve, strict=True)
    ]
    board.line(heights, "#0072B2", 2)
    best = column(turn.degrees)
    board.line([(best, top + 18), (best, base)], "#D55E00", 1.5, dashed=True)
    said = f"best yaw {turn.degrees:+.1f}, uncertain by {turn.uncertainty:.1f} degrees"
    anchor = "lm" if best < width / 2 else "rm"
    board.text(best + (6 if anchor == "lm" else -6), top + 12, said, 12, "#D55E00", anchor)
    board.text(left, base + 26, "agreement of points and boxes over the turn of the radar to the right in degrees", 11)


def _legend(board: Canvas, y: float) -> None:
    board.text(_GAP, y, "radar points by depth: 0", 11)
    x = _GAP + board.text_width("radar points by depth: 0", 11) + 6
    for i in range(80):
        board.line([(x + i, y - 5), (x + i, y + 5)], depth_colour(i / 79 * _REACH, _REACH), 1.5)
    board.text(x + 88, y, f"{_REACH:.0f} m     boxes: white, faint where the dataset counts no radar point on them", 11)
