"""One moment of any dataset in the same form: a picture, the radar points before it, what is annotated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.driving.drives.boxes import Box
from mmkeras.media.geometry import Pose

__all__ = ["Snapshot", "camera_matrix", "pose_of", "read_text"]


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
