"""The rows that one scene adds to the tables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.driving.simulation.camera import turn
from mmkeras.driving.simulation.conditions import SceneRequest
from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.schedule import CAMERA, Shot, key_stamp
from mmkeras.driving.simulation.world import World
from mmkeras.media.geometry import Pose

__all__ = ["Rows", "SceneRows", "token"]

EPOCH = 1_600_000_000_000_000
"""Microseconds of the first scene; scenes stand ten minutes apart."""
Rows = dict[str, list[dict[str, Any]]]


def token(*parts: object) -> str:
    """Return the token of a record: 32 hexadecimal digits that follow from what it is."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


@dataclass
class SceneRows:
    """One scene and the table rows collected for it."""

    request: SceneRequest
    config: SimulationConfig
    folder: Path
    world: World
    mounts: dict[str, Pose]
    rows: Rows = field(default_factory=dict)

    def add(self, table: str, row: dict[str, Any]) -> None:
        """Append a row to a table."""
        self.rows.setdefault(table, []).append(row)

    def token(self, *parts: object) -> str:
        """Return the token of one of this scene's records."""
        return token(self.config.seed, self.request.name, *parts)

    def stamp(self, microseconds: int) -> int:
        """Return the timestamp of microseconds since the scene's start."""
        return EPOCH + self.request.index * 600_000_000 + microseconds

    def ego(self, seconds: float) -> Pose:
        """Return the pose ego -> global: on the ground, along the road, with the ground's slope."""
        positions, headings, _ = self.world.tracks.at_all(np.array([seconds]), slice(1))
        position, heading = positions[0, 0], float(headings[0, 0])
        foot = self.world.ground.lift(position)
        slope = self.world.ground.slope(position, heading)
        matrix = np.eye(4)
        matrix[:3, :3] = turn(heading, -slope, 0.0)
        matrix[:3, 3] = foot
        return Pose.from_matrix(matrix)

    def filename(self, shot: Shot) -> str:
        """Return the path of a file below the directory."""
        ending = "jpg" if shot.channel == CAMERA else "pcd"
        kind = "samples" if shot.is_key else "sweeps"
        return f"{kind}/{shot.channel}/{self.request.name}__{shot.channel}__{self.stamp(shot.stamp)}.{ending}"

    def add_calibration(self) -> None:
        """Add the sensors' poses, the log and the scene."""
        width, height, focal = self.config.width, self.config.height, self.config.focal
        matrix = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
        for channel, pose in self.mounts.items():
            self.add("calibrated_sensor", {
                "token": self.token("calibration", channel), "sensor_token": token("sensor", channel),
                "translation": list(pose.translation), "rotation": list(pose.rotation),
                "camera_intrinsic": matrix if channel == CAMERA else [],
            })  # fmt: skip
        self.add("log", {
            "token": self.token("log"), "logfile": f"simulated-{self.request.name}", "vehicle": "simulated",
            "date_captured": "2020-09-13", "location": "simulation",
        })  # fmt: skip
        samples = self.config.key_frames
        self.add("scene", {
            "token": self.token("scene"), "log_token": self.token("log"), "nbr_samples": samples,
            "first_sample_token": self.token("sample", 0), "last_sample_token": self.token("sample", samples - 1),
            "name": self.request.name, "description": self.request.conditions.description,
        })  # fmt: skip

    def add_samples(self) -> None:
        """Add the key frames."""
        count = self.config.key_frames
        for key in range(count):
            self.add("sample", {
                "token": self.token("sample", key), "timestamp": self.stamp(key_stamp(self.config, key)),
                "prev": self.token("sample", key - 1) if key else "",
                "next": self.token("sample", key + 1) if key + 1 < count else "", "scene_token": self.token("scene"),
            })  # fmt: skip

    def add_sample_data(self, channel: str, shots: list[Shot]) -> None:
        """Add all measurements of one sensor with their ego poses."""
        camera = channel == CAMERA
        names = [self.token("data", channel, shot.stamp) for shot in shots]
        for i, shot in enumerate(shots):
            ego = self.ego(shot.stamp * 1e-6)
            pose = self.token("pose", channel, shot.stamp)
            self.add("ego_pose", {
                "token": pose, "timestamp": self.stamp(shot.stamp),
                "rotation": [round(v, 9) for v in ego.rotation], "translation": [round(v, 5) for v in ego.translation],
            })  # fmt: skip
            self.add("sample_data", {
                "token": names[i], "sample_token": self.token("sample", shot.key), "ego_pose_token": pose,
                "calibrated_sensor_token": self.token("calibration", channel), "timestamp": self.stamp(shot.stamp),
                "fileformat": "jpg" if camera else "pcd", "is_key_frame": shot.is_key,
                "height": self.config.height if camera else 0, "width": self.config.width if camera else 0,
                "filename": self.filename(shot), "prev": names[i - 1] if i else "",
                "next": names[i + 1] if i + 1 < len(names) else "",
            })  # fmt: skip
