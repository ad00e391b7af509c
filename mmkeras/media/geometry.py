"""Rigid poses, quaternions and the pinhole camera. numpy only, float64.

Frames, as nuScenes has them: *global* (a map), *ego* (on the ground under the rear axle; x forward, y left, z up) and
one per sensor. A camera's frame is x right, y down, z forward. A pose ``A -> B`` turns coordinates in A into B.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["BOX_EDGES", "PinholeCamera", "Pose", "box_corners", "cell_centres", "project", "quaternion_matrix"]

UNIT_TOLERANCE = 1e-3

BOX_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
"""The corners that each edge of a box connects, in the order of `box_corners`."""


def quaternion_matrix(rotation: Sequence[float]) -> np.ndarray:
    """Return the rotation matrix (3, 3) of a quaternion (w, x, y, z)."""
    # Plain floats: numpy takes three times as long for four numbers, and a drive has millions of poses.
    values = [float(value) for value in rotation]
    length = math.sqrt(sum(value * value for value in values))
    if len(values) != 4 or not abs(length - 1.0) <= UNIT_TOLERANCE:
        raise DataError(f"expected a rotation as a unit quaternion (w, x, y, z), got {list(rotation)}")
    w, x, y, z = (value / length for value in values)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@dataclass(frozen=True)
class Pose:
    """A rigid transform: ``apply(points) = rotation @ points + translation``."""

    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Metres."""
    rotation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Unit quaternion (w, x, y, z)."""

    def __post_init__(self) -> None:
        """Check that both are finite and the quaternion has length 1, with a `DataError` if not."""
        if len(self.translation) != 3 or not all(math.isfinite(value) for value in self.translation):
            raise DataError(f"expected a translation of three finite numbers, got {list(self.translation)}")
        quaternion_matrix(self.rotation)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """The homogeneous matrix (4, 4)."""
        result = np.eye(4)
        result[:3, :3] = quaternion_matrix(self.rotation)
        result[:3, 3] = self.translation
        return result

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Pose:
        """Return the pose of a homogeneous matrix (4, 4) whose rotation part is orthonormal."""
        m = np.asarray(matrix, np.float64)
        # Shepperd's method: divide by the largest component, so that no root of a number near 0 is taken.
        t = np.array([m[0, 0] + m[1, 1] + m[2, 2], m[0, 0], m[1, 1], m[2, 2]])
        largest = int(t.argmax())
        if largest == 0:
            q = np.array([1 + t[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
        else:
            i = largest - 1
            j, k = (i + 1) % 3, (i + 2) % 3
            q = np.empty(4)
            q[0] = m[k, j] - m[j, k]
            q[1 + i] = 1 + m[i, i] - m[j, j] - m[k, k]
            q[1 + j] = m[j, i] + m[i, j]
            q[1 + k] = m[k, i] + m[i, k]
        q = q / np.linalg.norm(q) * (1.0 if q[0] >= 0 else -1.0)
        return cls(tuple(m[:3, 3].tolist()), tuple(q.tolist()))

    @classmethod
    def flat(cls, x: float, y: float, yaw: float, z: float = 0.0) -> Pose:
        """Return a pose on the ground plane with a heading in radians."""
        return cls((float(x), float(y), float(z)), (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)))

    @property
    def inverse(self) -> Pose:
        """The inverse transform."""
        rotation = self.matrix[:3, :3].T
        w, x, y, z = self.rotation
        back = -rotation @ np.asarray(self.translation)
        return Pose(tuple(back.tolist()), (w, -x, -y, -z))

    def __matmul__(self, other: Pose) -> Pose:
        """Return ``self`` after ``other``."""
        return Pose.from_matrix(self.matrix @ other.matrix)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Move points (N, 3)."""
        return np.asarray(points, np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def rotate(self, vectors: np.ndarray) -> np.ndarray:
        """Rotate vectors (N, 3) such as velocities, without the translation."""
        return np.asarray(vectors, np.float64) @ self.matrix[:3, :3].T

    @property
    def yaw(self) -> float:
        """The heading: the angle of the x axis around z, in radians."""
        return math.atan2(self.matrix[1, 0], self.matrix[0, 0])


@dataclass(frozen=True)
class PinholeCamera:
    """The camera that a model is built for: pictures of real cameras are cropped and scaled to it.

    Pixels are continuous: (0, 0) is the upper left corner of the upper left pixel, (width, height) the lower right
    corner of the last one.
    """

    width: float
    """Columns of the model's image; the height is its rows."""
    height: float
    focal: float
    """Focal length in pixels of the model's image."""
    centre_x: float
    """Column of the optical axis."""
    centre_y: float
    """Row of the optical axis (the horizon of a level camera)."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return pixels (N, 2) of points (N, 3) in the camera's frame; NaN for points not in front of it."""
        points = np.asarray(points, np.float64)
        depth = np.where(points[:, 2] > 1e-6, points[:, 2], np.nan)
        x = self.focal * points[:, 0] / depth + self.centre_x
        y = self.focal * points[:, 1] / depth + self.centre_y
        return np.stack([x, y], axis=1)

    def unproject(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return points (N, 3) in the camera's frame at pixels (N, 2) and depths (N,) along the optical axis."""
        pixels, depth = np.asarray(pixels, np.float64), np.asarray(depth, np.float64)
        x = (pixels[:, 0] - self.centre_x) / self.focal * depth
        y = (pixels[:, 1] - self.centre_y) / self.focal * depth
        return np.stack([x, y, depth], axis=1)

    def window(self, intrinsic: np.ndarray) -> tuple[float, float, float, float]:
        """Return the part (left, top, right, bottom) of a real camera's image that this camera covers.

        Scaling that part to ``width`` x ``height`` gives an image of this camera; it may extend beyond the real image.
        The matrix (3, 3) is in pixels, without skew.

        Raises:
            DataError: not a camera matrix.
        """
        k = np.asarray(intrinsic, np.float64)
        if k.shape != (3, 3) or not np.isfinite(k).all() or k[0, 0] <= 0 or k[1, 1] <= 0:
            raise DataError(f"expected a camera matrix (3, 3) with positive focal lengths, got {np.asarray(intrinsic)}")
        scale_x, scale_y = k[0, 0] / self.focal, k[1, 1] / self.focal
        left, top = k[0, 2] - self.centre_x * scale_x, k[1, 2] - self.centre_y * scale_y
        return (left, top, left + self.width * scale_x, top + self.height * scale_y)

    def contains(self, pixels: np.ndarray) -> np.ndarray:
        """Return bool (N,): whether the pixels (N, 2) are in the image; NaN is not."""
        x, y = np.asarray(pixels, np.float64).T
        with np.errstate(invalid="ignore"):
            return np.asarray((x >= 0) & (x < self.width) & (y >= 0) & (y < self.height))


def project(points: np.ndarray, intrinsic: np.ndarray) -> np.ndarray:
    """Return pixels (N, 2) of points (N, 3) in front of a camera, given in its frame, by its matrix (3, 3)."""
    depth = np.maximum(np.asarray(points, np.float64)[:, 2:3], 1e-6)
    return np.asarray((points / depth @ np.asarray(intrinsic, np.float64).T)[:, :2])


def box_corners(centre: np.ndarray, size: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return the corners (N, 8, 3) of boxes: four of the front face, then four of the rear face in the same order.

    Args:
        centre: (N, 3).
        size: (N, 3) width, length, height; the length lies along the box's own x axis, the height along z.
        rotation: (N, 3, 3) box -> frame of the centre.
    """
    along = np.array([1, 1, 1, 1, -1, -1, -1, -1])
    across = np.array([1, -1, -1, 1, 1, -1, -1, 1])
    up = np.array([1, 1, -1, -1, 1, 1, -1, -1])
    local = np.stack([along * size[:, 1:2], across * size[:, :1], up * size[:, 2:]], axis=-1) / 2
    return np.asarray(np.einsum("nij,nkj->nki", rotation, local) + centre[:, None])


def cell_centres(rows: int, columns: int) -> np.ndarray:
    """Return the centres of a map's cells as shares of its size, float32 (rows * columns, 2): column, row."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([(x.ravel() + 0.5) / columns, (y.ravel() + 0.5) / rows], axis=1).astype(np.float32)
