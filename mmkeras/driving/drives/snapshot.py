"""One moment of a drive in the same form for every dataset: a picture, the radar points before it, the boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.core.typed import is_finite
from mmkeras.media.geometry import Pose, box_corners, quaternion_matrix

__all__ = ["Box", "CATEGORIES", "Snapshot", "camera_matrix", "numbers", "pose_in", "pose_of", "read_text"]

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
"""nuScenes category -> class of the detection task; other categories (animals, strollers, debris) have no class."""


@dataclass(frozen=True)
class Box:
    """One annotated object, in the frame that its reader documents."""

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
    """Share visible to the six cameras: 1 is 0 to 40 %, 2 to 60 %, 3 to 80 %, 4 to 100 %; 0 is unknown."""
    radar_points: int = 0
    """Radar points inside; -1 where unknown."""
    lidar_points: int = 0
    """Lidar points inside; -1 where unknown."""
    attribute: str = ""
    """For example ``vehicle.parked``, or ``""``."""
    token: str = ""

    def corners(self) -> np.ndarray:
        """Return the corners (8, 3): the front four, then the rear four."""
        turn = quaternion_matrix(self.rotation)
        return np.asarray(box_corners(np.array([self.centre]), np.array([self.size]), turn[None])[0])


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
    """Return values from a file as a camera matrix (3, 3); ``None`` if they are not a finite, invertible matrix."""
    try:
        matrix = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0:
        return None
    return matrix if 0 < abs(np.linalg.det(matrix)) < np.inf else None


def pose_of(matrix: np.ndarray, origin: str) -> Pose:
    """Return the pose of a homogeneous matrix (4, 4) from a file; ``origin`` names it in the error."""
    try:
        m = np.asarray(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):  # ragged rows, texts, numbers too large for a float
        m = np.empty(0)
    valid = m.shape == (4, 4) and np.isfinite(m).all() and np.allclose(m[3], (0, 0, 0, 1))
    if not valid or not np.allclose(m[:3, :3] @ m[:3, :3].T, np.eye(3), atol=1e-3) or np.linalg.det(m[:3, :3]) < 0:
        raise DataError(f"{origin}: expected a pose as a matrix (4, 4) with a rotation, got {matrix!r:.200}")
    return Pose.from_matrix(m)


def numbers(record: Mapping[str, Any], field: str, count: int) -> tuple[float, ...]:
    """Return a field of a record that holds ``count`` finite numbers.

    Raises:
        DataError: it holds something else.
    """
    values = record.get(field)
    if not isinstance(values, list) or len(values) != count or not all(map(is_finite, values)):
        raise DataError(f"expected {count} finite numbers as {field!r}, got {values}")
    return tuple(map(float, values))


def pose_in(record: Mapping[str, Any]) -> Pose:
    """Return the pose of the fields ``translation`` and ``rotation``.

    Raises:
        DataError: a field without 3 or 4 finite numbers, or no rotation.
    """
    return Pose(numbers(record, "translation", 3), numbers(record, "rotation", 4))  # type: ignore[arg-type]
