"""Annotated objects: boxes with class, velocity and visibility."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mmkeras.media.geometry import Pose, box_corners, quaternion_matrix

__all__ = ["CATEGORIES", "Box", "category_to_class"]

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
