"""The encoded target of one frame: an array of the objects in the camera's image. numpy only.

A target is float32 (max_objects + 1, 20). The first rows are objects, nearest first, with the columns named here;
unused rows are 0. The last row is the pose camera -> ego of the frame: tx, ty, tz (m), qw, qx, qy, qz, then 0. Lengths
are metres, velocities m/s over ground, pixels those of the model's image. "Camera" is the camera's frame: x right, y
down, z forward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError, nearest
from mmkeras.media.geometry import PinholeCamera, Pose, box_corners, quaternion_matrix
from mmkeras.tasks.detection.boxes import Boxes, pixel_boxes, to_camera_plane, to_ego_plane
from mmkeras.tasks.detection.classes import ATTRIBUTES, CLASS_RANGE, attribute_index

__all__ = ["COLUMNS", "MIN_DEPTH", "as_pose", "encode_target", "read_poses", "read_truth"]

COLUMNS = 20
VALID = 0  # 1 for an object
LABEL = 1  # position in the task's labels
BOX = slice(2, 6)  # left, top, right, bottom: projected corners, cut at the image's edge
CENTRE = slice(6, 9)  # camera
SIZE = slice(9, 12)  # width, length, height
HEADING = slice(12, 14)  # sin and cos of the heading: its direction along camera x and z
VELOCITY = slice(14, 16)  # along camera x and z; 0 if unknown
VISIBILITY = 16  # 1 to 4 as in nuScenes
RADAR_POINTS = 17  # inside the box; -1 if unknown
LIDAR_POINTS = 18
EXTRA = 19  # position in ATTRIBUTES * 2, plus 1 if the velocity is known

MIN_DEPTH = 1.0
"""Smallest depth (m) of an object in a target."""
_LARGEST = 1e6
_CYCLES = ("bicycle", "motorcycle")
_RACK = "static_object.bicycle_rack"


def encode_target(
    target: Any, labels: Sequence[str], camera: PinholeCamera, default_pose: Pose, max_objects: int
) -> np.ndarray:
    """Return the target array of a frame.

    Args:
        target: ``{"boxes": [...], "camera": pose camera -> ego}``. A pose is a `Pose` or seven numbers (tx, ty, tz, qw,
            qx, qy, qz); ``camera`` may be missing. Boxes are in the ego frame of this frame, either objects such as
            `mmkeras.driving.drives.snapshot.Box` or dicts with the same names::

                {"name": "car",                   # the class
                 "centre": [x, y, z], "size": [width, length, height],     # m
                 "yaw": rad,                      # or "rotation": [w, x, y, z]
                 "velocity": [vx, vy],            # m/s over ground, along ego x and y; may be missing or NaN
                 "attribute": "vehicle.moving",   # may be missing or empty
                 "visibility": 4, "radar_points": 3, "lidar_points": 10}   # may be missing: visible, unknown

            A box whose name is empty, or a nuScenes class that is not among the labels, is left out.
        labels: the classes.
        camera: the model's camera.
        default_pose: camera -> ego of a target without a pose.
        max_objects: the most objects; the nearest are kept.

    Raises:
        DataError: another form, an unknown class or attribute, numbers that are not finite, sizes not above 0.
    """
    if not isinstance(target, Mapping) or not isinstance(target.get("boxes"), list | tuple):
        raise DataError(
            f"Expected a target like {{'boxes': [...], 'camera': pose}}, got {type(target).__name__} "
            f"{list(target) if isinstance(target, Mapping) else target!r}"[:300]
        )
    pose = default_pose if target.get("camera") is None else as_pose(target["camera"])
    found = [_Given(i, box) for i, box in enumerate(target["boxes"])]
    racks = [each for each in found if each.category == _RACK]
    objects = [each for each in found if each.is_wanted(labels)]
    result = np.zeros((max_objects + 1, COLUMNS), np.float32)
    result[-1, :7] = (*pose.translation, *pose.rotation)
    if not objects:
        return result
    rows = _rows(objects, labels, camera, pose, racks)
    centre = rows[:, CENTRE]
    inside = camera.contains(camera.project(centre)) & (centre[:, 2] > MIN_DEPTH)
    rows = rows[inside]
    order = np.argsort(np.hypot(rows[:, CENTRE][:, 0], rows[:, CENTRE][:, 2]), kind="stable")[:max_objects]
    result[: len(order)] = rows[order]
    return result


def as_pose(value: Any) -> Pose:
    """Return a pose camera -> ego that is given as a `Pose` or as tx, ty, tz (m), qw, qx, qy, qz.

    Raises:
        DataError: not seven finite numbers with a unit quaternion.
    """
    if isinstance(value, Pose):
        return value
    try:
        if not isinstance(value, list | tuple | np.ndarray):
            raise TypeError("not a list of numbers")
        x, y, z, qw, qx, qy, qz = (float(number) for number in value)
        return Pose((x, y, z), (qw, qx, qy, qz))
    except (DataError, TypeError, ValueError, OverflowError) as error:
        form = "Expected a pose camera -> ego as tx, ty, tz (m), qw, qx, qy, qz"
        raise DataError(f"{form}, got {value!r}: {error}") from None


def _rows(
    objects: Sequence[_Given], labels: Sequence[str], camera: PinholeCamera, pose: Pose, racks: Sequence[_Given]
) -> np.ndarray:
    """Return float64 rows (N, 20) of objects, also of those outside the image."""
    rotation = pose.matrix[:3, :3]
    if abs(np.linalg.det(to_camera_plane(np.eye(2), rotation))) < 0.1:
        raise DataError(f"Expected a camera that looks along the road, but it looks up or down: {pose.rotation}")
    rows = np.zeros((len(objects), COLUMNS))
    centre = np.stack([each.centre for each in objects])
    size = np.stack([each.size for each in objects])
    turn = np.stack([each.rotation for each in objects])
    back = rotation.T
    rows[:, VALID] = 1
    rows[:, LABEL] = [list(labels).index(each.name) for each in objects]
    rows[:, CENTRE] = (centre - pose.translation) @ back.T
    rows[:, SIZE] = size
    corners = (box_corners(centre, size, turn) - pose.translation) @ back.T
    rows[:, BOX] = pixel_boxes(corners, camera)
    # A heading is horizontal in the ego frame: the box's forward axis without its slope.
    heading = to_camera_plane(turn[:, :2, 0], rotation)
    rows[:, HEADING] = heading / np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
    velocity = np.stack([each.velocity for each in objects])
    known = np.isfinite(velocity).all(axis=1)
    rows[:, VELOCITY] = to_camera_plane(np.where(known[:, None], velocity, 0.0), rotation)
    rows[:, EXTRA] = [attribute_index(each.attribute) * 2 for each in objects] + known
    rows[:, VISIBILITY : LIDAR_POINTS + 1] = [each.counts for each in objects]
    # nuScenes does not score cycles in a rack: they get no sensor points, and so are not scored here.
    racked = [each.name in _CYCLES and any(rack.holds(each.centre) for rack in racks) for each in objects]
    rows[racked, RADAR_POINTS : LIDAR_POINTS + 1] = 0
    return rows


class _Given:
    """One box of a raw target, read and checked."""

    def __init__(self, position: int, box: Any) -> None:
        get = box.get if isinstance(box, Mapping) else lambda name, default=None: getattr(box, name, default)
        self._where = f"boxes[{position}]"
        name = get("name")
        if not isinstance(name, str):
            raise DataError(f"{self._where}: Expected a class name, got {name!r}")
        self.name, self.category = name, get("category", "")
        self._get = get
        self.centre, self.size = self._numbers("centre", 3), self._numbers("size", 3)
        if not (self.size > 0).all():
            raise DataError(f"{self._where}.size: Expected width, length and height above 0, got {self.size.tolist()}")
        self.attribute = get("attribute", "") or ""
        if not isinstance(self.attribute, str):
            raise DataError(f"{self._where}.attribute: Expected text, got {self.attribute!r}")

    def is_wanted(self, labels: Sequence[str]) -> bool:
        """Return whether the class is one of the labels; an unknown class is an error."""
        if self.name not in labels and self.name not in ("", *CLASS_RANGE):
            raise DataError(f"{self._where}: No label is called {self.name!r}; {nearest(self.name, labels)}")
        return self.name in labels

    def _numbers(self, name: str, count: int, maybe_nan: bool = False) -> np.ndarray:
        value = self._get(name)
        try:
            numbers = np.asarray(value, np.float64)
        except (TypeError, ValueError, OverflowError):
            numbers = np.zeros(0)
        if numbers.shape != (count,) or not ((np.abs(numbers) < _LARGEST) | (np.isnan(numbers) & maybe_nan)).all():
            raise DataError(f"{self._where}.{name}: Expected {count} finite numbers, got {value!r}")
        return numbers

    @property
    def rotation(self) -> np.ndarray:
        """Box -> ego, (3, 3)."""
        if self._get("rotation") is None:
            yaw: Any = self._get("yaw")
            if isinstance(yaw, bool) or not isinstance(yaw, int | float | np.number) or not -_LARGEST < yaw < _LARGEST:
                raise DataError(f"{self._where}: Expected a finite 'yaw' (rad) or a 'rotation', got yaw {yaw!r}")
            return quaternion_matrix((math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)))
        try:
            return quaternion_matrix(self._numbers("rotation", 4).tolist())
        except DataError as error:
            raise DataError(f"{self._where}.rotation: Expected a unit quaternion: {error}") from None

    @property
    def velocity(self) -> np.ndarray:
        if self._get("velocity") is None:
            return np.full(2, np.nan)
        return self._numbers("velocity", 2, maybe_nan=True)

    @property
    def counts(self) -> tuple[float, float, float]:
        """Visibility, radar points and lidar points."""
        counts: list[Any] = [
            self._get(k, d) for k, d in (("visibility", 4), ("radar_points", -1), ("lidar_points", -1))
        ]
        if not all(isinstance(count, int | np.integer) and -_LARGEST < count < _LARGEST for count in counts):
            raise DataError(f"{self._where}: Expected whole numbers as visibility and points, got {counts}")
        return (float(counts[0]), float(counts[1]), float(counts[2]))

    def holds(self, point: np.ndarray) -> bool:
        """Return whether a point of the ego frame is inside."""
        local = (point - self.centre) @ self.rotation
        width, length, height = self.size / 2
        return bool((np.abs(local) <= np.array([length, width, height])).all())


def read_poses(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rotation (B, 3, 3) and translation (B, 3), camera -> ego, of encoded targets (B, M + 1, 20)."""
    poses = targets[:, -1, :7].astype(np.float64)
    return np.array([quaternion_matrix(q) for q in poses[:, 3:]]).reshape(-1, 3, 3), poses[:, :3]


def read_truth(targets: np.ndarray) -> Boxes:
    """Return the objects of encoded targets (B, M + 1, 20) in the ego frame of each sample.

    An unknown velocity is NaN. ``points`` is -1 if one of the two counts is unknown.
    """
    sample, row = np.nonzero(targets[:, :-1, VALID] > 0.5)
    rows = targets[sample, row].astype(np.float64)
    rotations, translations = read_poses(targets)
    rotation = rotations[sample]
    heading = to_ego_plane(rows[:, HEADING], rotation)
    extra = rows[:, EXTRA].astype(np.int64)
    velocity = np.where(extra[:, None] % 2 == 1, to_ego_plane(rows[:, VELOCITY], rotation), np.nan)
    counts = rows[:, RADAR_POINTS : LIDAR_POINTS + 1].astype(np.int64)
    return Boxes(
        sample=sample,
        label=rows[:, LABEL].astype(np.int64),
        score=np.ones(len(rows)),
        centre=np.einsum("nij,nj->ni", rotation, rows[:, CENTRE]) + translations[sample],
        size=rows[:, SIZE],
        yaw=np.arctan2(heading[:, 1], heading[:, 0]),
        velocity=velocity,
        attribute=np.clip(extra // 2, 0, len(ATTRIBUTES) - 1),
        points=np.where((counts < 0).any(axis=1), -1, counts.sum(axis=1)),
        box=rows[:, BOX],
    )
