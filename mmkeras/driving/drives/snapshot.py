"""One moment of any dataset in the same form: a picture, the radar points before it, what is annotated."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.media.geometry import Pose, box_corners, quaternion_matrix

__all__ = ["Box", "CATEGORIES", "Snapshot", "camera_matrix", "category_to_class", "pose_of", "read_text"]

CATEGORIES = {
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}
"""nuScenes category -> class of the detection task; the other categories have none."""


def category_to_class(category: str) -> str:
    """Return the detection class of a nuScenes category, or ``""`` where it has none (animals, strollers, debris)."""
    return CATEGORIES.get(category, "")


@dataclass(frozen=True)
class Box:
    """One annotated object, in the frame that the reader says."""

    category: str
    """As in the dataset, for example ``vehicle.bus.rigid``."""
    name: str
    """Detection class, or ``""``."""
    centre: tuple[float, float, float]
    """Metres."""
    size: tuple[float, float, float]
    """Width, length, height in metres; length is along the box's x axis."""
    rotation: tuple[float, float, float, float]
    """Unit quaternion (w, x, y, z): box -> frame."""
    velocity: tuple[float, float] = (math.nan, math.nan)
    """Along x and y of the frame in m/s over the ground; NaN where unknown."""
    visibility: int = 4
    """Share visible to the six cameras: 1 up to 40 %, 2 to 60 %, 3 to 80 %, 4 more; 0 unknown."""
    radar_points: int = 0
    """Radar points inside; -1 where unknown."""
    lidar_points: int = 0
    """Lidar points inside; -1 where unknown."""
    attribute: str = ""
    """For example ``vehicle.parked``, or ``""``."""
    token: str = ""
    instance: str = ""
    """Equal for one object in all frames of a scene."""

    def corners(self) -> np.ndarray:
        """Return the corners (8, 3): the front four, then the rear four."""
        turn = quaternion_matrix(self.rotation)
        return np.asarray(box_corners(np.array([self.centre]), np.array([self.size]), turn[None])[0])

    def moved(self, pose: Pose) -> Box:
        """Return the box in another frame: ``pose`` leads there from the box's frame.

        The velocity is rotated as a vector in the x-y plane, and its third component is left out.
        """
        rotated = pose @ Pose(self.centre, self.rotation)
        velocity = pose.rotate(np.array([[*self.velocity, 0.0]]))[0, :2]
        return replace(
            self,
            centre=rotated.translation,
            rotation=rotated.rotation,
            velocity=(float(velocity[0]), float(velocity[1])),
        )


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One camera frame with its radar."""

    name: str
    """Unique in its dataset."""
    path: str
    intrinsic: np.ndarray
    """Camera matrix (3, 3) in pixels."""
    camera: Pose
    """Camera -> ego."""
    points: np.ndarray
    """Radar points float32 (N, 8), columns `POINT_FIELDS`, camera frame."""
    boxes: tuple[Box, ...] = ()
    """Annotated objects in the ego frame."""
    speed: float = math.nan
    """Of the ego vehicle in m/s; NaN where unknown."""


def read_text(path: Path) -> str:
    """Return the text of a file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def camera_matrix(values: Any) -> np.ndarray | None:
    """Return values from a file as a camera matrix (3, 3); ``None`` if they are not a finite, invertible one."""
    try:
        matrix = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0:
        return None
    return matrix if 0 < abs(np.linalg.det(matrix)) < np.inf else None


def pose_of(matrix: np.ndarray, origin: str) -> Pose:
    """Return the pose of a homogeneous matrix (4, 4) read from somewhere."""
    try:
        m = np.asarray(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):  # ragged rows, texts, numbers too large for a float
        m = np.empty(0)
    right = m.shape == (4, 4) and np.isfinite(m).all() and np.allclose(m[3], (0, 0, 0, 1))
    if not right or not np.allclose(m[:3, :3] @ m[:3, :3].T, np.eye(3), atol=1e-3) or np.linalg.det(m[:3, :3]) < 0:
        raise DataError(f"{origin}: expected a pose as a matrix (4, 4) with a rotation, got {matrix!r:.200}")
    return Pose.from_matrix(m)
