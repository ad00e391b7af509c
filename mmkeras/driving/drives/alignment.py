"""How well radar points agree with annotated boxes: hits, and the yaw of the radar that fits best. numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.drives.snapshot import Snapshot
from mmkeras.media.geometry import project

__all__ = ["YAWS", "Alignment", "Turn", "best_turn", "measure"]

YAWS = np.linspace(-12.0, 12.0, 241)
"""Degrees to the right by which points are turned in the search."""
NEAREST, FARTHEST = 3.0, 60.0
"""Metres from the camera between which points and boxes count."""
SLACK = 1.0
"""Metres before and behind a box within which a point counts as a return of the box."""
MARGIN = 0.5
"""Degrees beside a box within which a point counts as a hit."""
WIDTH = 1.0
"""Standard deviation in degrees of the kernel that compares angles."""
WINDOW = 15.0
_RESAMPLES = 100


@dataclass(frozen=True, eq=False)
class Alignment:
    """One snapshot's counts."""

    points: int
    """Radar points 3 to 60 m from the camera."""
    ahead: int
    """Points in front of the camera."""
    in_field: int
    """Points within the camera's horizontal field of view."""
    in_picture: int
    """Points inside the picture, top and bottom edge included."""
    offsets: tuple[np.ndarray, ...]
    """For each box visible to radar: degrees by which each candidate point lies left of its middle."""
    halves: np.ndarray
    """Half the angle in degrees that each of these boxes spans, (B,)."""


@dataclass(frozen=True, eq=False)
class Turn:
    """The search for the radar's best yaw."""

    degrees: float
    """Turn to the right that aligns the points with the boxes."""
    uncertainty: float
    """Standard deviation in degrees, by bootstrap over the boxes."""
    curve: np.ndarray
    """Agreement at `YAWS`, scaled to a maximum of 1."""


def measure(snapshot: Snapshot, size: tuple[int, int]) -> Alignment:
    """Compare the radar points of one snapshot with its picture and its boxes.

    A point is a candidate for a box at about the same distance and less than 15 degrees away. Boxes that have no radar
    point according to the dataset are left out, as are boxes whose centre is outside the picture. ``size`` is
    the picture's width and height.
    """
    points = np.asarray(snapshot.points, np.float64)
    away = np.hypot(points[:, 0], points[:, 2])
    near = (away > NEAREST) & (away < FARTHEST)
    points, away = points[near], away[near]
    ahead = points[:, 2] > 0.5
    pixels = project(points[:, :3], snapshot.intrinsic)
    in_field = ahead & (pixels[:, 0] >= 0) & (pixels[:, 0] < size[0])
    in_picture = in_field & (pixels[:, 1] >= 0) & (pixels[:, 1] < size[1])
    angles = np.degrees(np.arctan2(points[:, 0], points[:, 2]))
    offsets, halves = [], []
    for box in snapshot.boxes:
        centre = snapshot.camera.inverse.apply(np.asarray([box.centre]))[0]
        if box.radar_points == 0 or not _visible(centre, snapshot.intrinsic, size):
            continue
        corners = snapshot.camera.inverse.apply(box.corners())
        ranges = np.hypot(corners[:, 0], corners[:, 2])
        middle = math.degrees(math.atan2(centre[0], centre[2]))
        spread = np.degrees(np.arctan2(corners[:, 0], corners[:, 2])) - middle
        spread = (spread + 180) % 360 - 180
        # An older sweep measured the object at its position of that time.
        there, ranges_then = _moved_on(points, angles, away, box.velocity, snapshot)
        near = (ranges_then > ranges.min() - SLACK) & (ranges_then < ranges.max() + SLACK)
        offset = (middle - there + 180) % 360 - 180
        offsets.append(offset[near & (np.abs(offset) < WINDOW)])
        halves.append(float(np.abs(spread).max()))
    in_front, seen, hit = (int(mask.sum()) for mask in (ahead, in_field, in_picture))
    return Alignment(len(points), in_front, seen, hit, tuple(offsets), np.asarray(halves))


def best_turn(alignments: list[Alignment]) -> Turn | None:
    """Find the yaw at which points and boxes agree best; ``None`` with fewer than three boxes.

    The agreement sums over the boxes the angles of their candidates, blurred by a degree; narrow boxes have more weight
    than wide ones. The uncertainty comes from a bootstrap over the boxes.
    """
    votes = [
        np.exp(-0.5 * ((YAWS[None] - offset[:, None]) / WIDTH) ** 2).mean(0) / (1.0 + half)
        for alignment in alignments
        for offset, half in zip(alignment.offsets, alignment.halves, strict=True)
        if len(offset)
    ]
    if len(votes) < 3:
        return None
    table = np.stack(votes)
    total = table.sum(0)
    drawn = np.random.default_rng(0).multinomial(len(table), np.full(len(table), 1 / len(table)), _RESAMPLES)
    peaks = [_peak(curve) for curve in drawn @ table]
    return Turn(_peak(total), float(np.std(peaks)), total / total.max())


def _peak(curve: np.ndarray) -> float:
    best = YAWS[int(curve.argmax())]
    near = np.abs(YAWS - best) <= 1.5
    weights = np.maximum(curve[near] - 0.5 * curve.max(), 0.0)
    return float((YAWS[near] * weights).sum() / weights.sum())


def _moved_on(
    points: np.ndarray, angles: np.ndarray, away: np.ndarray, velocity: tuple[float, float], snapshot: Snapshot
) -> tuple[np.ndarray, np.ndarray]:
    """Return angle and distance of the points after each has moved with the box's velocity since its sweep."""
    if not all(map(math.isfinite, velocity)):
        return angles, away
    step = snapshot.camera.inverse.rotate(np.array([[*velocity, 0.0]]))[0]
    x, z = points[:, 0] + step[0] * points[:, 7], points[:, 2] + step[2] * points[:, 7]
    return np.degrees(np.arctan2(x, z)), np.hypot(x, z)


def _visible(centre: np.ndarray, intrinsic: np.ndarray, size: tuple[int, int]) -> bool:
    if not (centre[2] > 0.5 and NEAREST < math.hypot(centre[0], centre[2]) < FARTHEST):
        return False
    x, y = project(centre[None], intrinsic)[0]
    return bool(0 <= x < size[0] and 0 <= y < size[1])
