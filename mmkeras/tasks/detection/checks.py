"""Checks of the detection task's options; each returns what is wrong, so that all is said at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mmkeras.core.errors import DataError, nearest
from mmkeras.media.geometry import Pose

__all__ = ["as_pose", "camera_problems", "range_problems"]


def as_pose(numbers: Sequence[float]) -> Pose:
    """Return the pose that seven numbers (tx, ty, tz, qw, qx, qy, qz) stand for.

    Raises:
        DataError: not seven finite numbers with a unit quaternion.
    """
    if len(numbers) != 7:
        raise DataError(f"expected tx, ty, tz, qw, qx, qy, qz, got {len(numbers)} numbers")
    x, y, z, qw, qx, qy, qz = (float(number) for number in numbers)
    return Pose((x, y, z), (qw, qx, qy, qz))


def camera_problems(camera: Sequence[float], pose: Sequence[float]) -> list[str]:
    """Check the model's camera (width, height, focal length, centre; empty for not known yet) and its pose."""
    problems = []
    if camera and not (len(camera) == 5 and all(map(math.isfinite, camera)) and min(camera[:3]) > 0):
        problems.append(
            "camera: expected width, height and focal length above 0, then centre x and y, all in pixels; "
            f"got {list(camera)}"
        )
    try:
        as_pose(pose)
    except DataError as error:
        problems.append(f"camera_pose: expected tx, ty, tz (m), qw, qx, qy, qz, got {list(pose)}: {error}")
    return problems


def range_problems(ranges: Mapping[str, float], labels: Sequence[str]) -> list[str]:
    """Check distances by class."""
    unknown = [name for name in ranges if name not in labels]
    return [f"class_range.{name}: no label is called {name!r}; {nearest(name, labels)}" for name in unknown] + [
        f"class_range.{name}: expected a distance above 0 m, got {value!r}"
        for name, value in ranges.items()
        if not value > 0
    ]
