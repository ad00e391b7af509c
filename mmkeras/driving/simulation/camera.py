"""The perspective camera: its mounting and its projection."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmkeras.media.geometry import Pose

__all__ = ["View", "clip_near", "mounting", "turn"]

NEAR = 0.4
"""Metres from the camera's plane below which nothing is painted."""


def mounting(x: float, y: float, z: float, yaw: float, pitch: float) -> Pose:
    """Return the pose camera -> ego of a camera that looks forward.

    x, y and z are metres ahead of the rear axle, to the left and above the ground; yaw is radians to the left, pitch
    downwards.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = turn(yaw, pitch, 0.0) @ np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    matrix[:3, 3] = (x, y, z)
    return Pose.from_matrix(matrix)


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return the rotation (3, 3) of a vehicle: heading, then nose down, then leaning to the right."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1.0]])
    about_y = np.array([[cp, 0, sp], [0, 1.0, 0], [-sp, 0, cp]])
    about_x = np.array([[1.0, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return np.asarray(about_z @ about_y @ about_x)


@dataclass(frozen=True)
class View:
    """Position, direction, focal length and size of a picture."""

    rotation: np.ndarray
    """Global -> camera (3, 3)."""
    position: np.ndarray
    """Of the camera, global (3,)."""
    focal: float
    width: int
    height: int

    @classmethod
    def of(cls, ego: Pose, camera: Pose, pitch: float, roll: float, focal: float, size: tuple[int, int]) -> View:
        """Return the view of a camera on a vehicle whose body pitches (nose down) and rolls (to the right), in radians.

        ``ego`` is ego -> global, ``camera`` camera -> ego, ``focal`` in pixels and ``size`` columns and rows.
        """
        rock = np.eye(4)
        rock[:3, :3] = turn(0.0, pitch, roll)
        matrix = ego.matrix @ rock @ camera.matrix
        return cls(matrix[:3, :3].T, matrix[:3, 3], focal, *size)

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Return global points (N, 3) in the camera's frame."""
        return np.asarray((points - self.position) @ self.rotation.T)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Return pixels (N, 2) of points (N, 3) in the camera's frame; all must lie in front of it."""
        return points[:, :2] * (self.focal / points[:, 2:]) + (self.width / 2, self.height / 2)

    @property
    def horizon(self) -> float:
        """Row of the horizon in the middle column."""
        up = self.rotation[:, 2]
        return float(self.height / 2 + self.focal * up[2] / -up[1]) if up[1] else self.height / 2

    @property
    def heading(self) -> float:
        """Global heading of the optical axis in radians."""
        return math.atan2(self.rotation[2, 1], self.rotation[2, 0])


def clip_near(points: np.ndarray) -> np.ndarray:
    """Return the part of a polygon (N, 3) in the camera's frame before the near plane; perhaps empty."""
    inside = points[:, 2] >= NEAR
    if inside.all():
        return points
    kept: list[np.ndarray] = []
    for i in range(len(points)):
        a, b = points[i - 1], points[i]
        if inside[i - 1] != inside[i]:
            kept.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
        if inside[i]:
            kept.append(b)
    return np.array(kept) if len(kept) > 2 else np.empty((0, 3))
