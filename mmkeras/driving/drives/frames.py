"""Scenes and camera frames of a nuScenes drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.driving.drives.tables import Table
from mmkeras.media.geometry import Pose

__all__ = ["Frame", "Scene", "read_scenes"]


@dataclass(frozen=True)
class Scene:
    """Some twenty seconds of one drive."""

    token: str
    name: str
    """For example ``scene-0061``."""
    description: str
    """In words; nuScenes tells night and rain here."""
    number: int
    """Row in the table."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a camera, not read yet."""

    token: str
    """Of the record in ``sample_data.json``."""
    timestamp: int
    """Microseconds."""
    path: str
    """The file."""
    intrinsic: np.ndarray
    """Camera matrix (3, 3) in pixels."""
    camera: Pose
    """Camera -> ego."""
    ego: Pose
    """Ego -> global at the time of the frame."""
    width: int
    """Of the picture, in pixels."""
    height: int
    """Of the picture, in pixels."""
    is_key: bool
    """Whether the frame belongs to a sample with annotations."""
    channel: str
    """For example ``CAM_FRONT``."""
    sample: str
    """Token of the sample that it belongs to; between samples, the next one."""
    scene: Scene


def read_scenes(table: Table) -> tuple[Scene, ...]:
    """Return the scenes in the order of the table ``scene``.

    Raises:
        DataError: a scene without a name, or two of one name.
    """
    scenes: dict[str, Scene] = {}
    for number, row in enumerate(table.rows()):
        name = row.get("name")
        if not isinstance(name, str) or not name or name in scenes:
            raise DataError(f"{table.path}: record {row['token']!r}: expected a name of its own, got {name!r}")
        scenes[name] = Scene(row["token"], name, str(row.get("description") or ""), number)
    return tuple(scenes.values())
