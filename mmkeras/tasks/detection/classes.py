"""The detection classes and attributes of nuScenes, and a rule for attributes. numpy only.

Source: https://www.nuscenes.org/object-detection and the configuration ``detection_cvpr_2019``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmkeras.core.errors import DataError, nearest

__all__ = [
    "ATTRIBUTES",
    "CLASS_RANGE",
    "DEFAULT_RANGE",
    "MOVING_SPEED",
    "NO_ORIENTATION",
    "NO_VELOCITY",
    "attribute_index",
    "attributes_by_speed",
]

CLASS_RANGE = {
    "car": 50.0,
    "truck": 50.0,
    "bus": 50.0,
    "trailer": 50.0,
    "construction_vehicle": 50.0,
    "pedestrian": 40.0,
    "motorcycle": 40.0,
    "bicycle": 40.0,
    "traffic_cone": 30.0,
    "barrier": 30.0,
}
"""The ten classes in nuScenes' order, with the distance from the ego vehicle (m) up to which each one is scored."""
DEFAULT_RANGE = 50.0
"""Range (m) of a class that nuScenes does not have."""
ATTRIBUTES = (
    "",
    "pedestrian.moving",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "cycle.with_rider",
    "cycle.without_rider",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)
"""Attributes by index; index 0 stands for no attribute."""
NO_ORIENTATION = ("traffic_cone",)
"""Classes whose orientation is not scored."""
NO_VELOCITY = ("traffic_cone", "barrier")
"""Classes whose velocity and attribute are not scored."""
MOVING_SPEED = 0.5
"""Speed in m/s above which `attributes_by_speed` returns the attribute of a moving object."""

_BY_SPEED = {
    "pedestrian": ("pedestrian.standing", "pedestrian.moving"),
    "bicycle": ("cycle.without_rider", "cycle.with_rider"),
    "motorcycle": ("cycle.without_rider", "cycle.with_rider"),
    "bus": ("vehicle.stopped", "vehicle.moving"),
    "traffic_cone": ("", ""),
    "barrier": ("", ""),
    "car": ("vehicle.parked", "vehicle.moving"),
    "truck": ("vehicle.parked", "vehicle.moving"),
    "trailer": ("vehicle.parked", "vehicle.moving"),
    "construction_vehicle": ("vehicle.parked", "vehicle.moving"),
}


def attribute_index(name: str) -> int:
    """Return the position of an attribute in `ATTRIBUTES`.

    Raises:
        DataError: not an attribute of nuScenes.
    """
    try:
        return ATTRIBUTES.index(name)
    except ValueError:
        raise DataError(f"Expected an attribute of nuScenes, got {name!r}; {nearest(name, ATTRIBUTES[1:])}") from None


def attributes_by_speed(labels: Sequence[str], label: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Return the most likely attribute of each object by its class and speed.

    A standing car counts as parked, and a standing cycle has no rider. A class outside nuScenes has no attribute.

    Args:
        labels: names of the C classes.
        label: int (N,) class of each object.
        velocity: (N, 2) in m/s.

    Returns:
        int (N,): positions in `ATTRIBUTES`.
    """
    table = np.array([[ATTRIBUTES.index(name) for name in _BY_SPEED.get(each, ("", ""))] for each in labels])
    moving = np.hypot(velocity[:, 0], velocity[:, 1]) > MOVING_SPEED
    return np.asarray(table.reshape(-1, 2)[label, moving.astype(np.int64)])
