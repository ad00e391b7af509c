"""The table rows of one scene, and the tables themselves."""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.driving.simulation.agents import KINDS
from mmkeras.driving.simulation.camera import turn
from mmkeras.driving.simulation.config import SceneRequest, SimulationConfig
from mmkeras.driving.simulation.radar import RADARS
from mmkeras.driving.simulation.world import World
from mmkeras.media.geometry import Pose
from mmkeras.storage.files import write_bytes, write_json

__all__ = ["CAMERA", "Rows", "SceneRows", "Shot", "VERSION", "key_stamp", "schedule", "token", "write_tables"]

EPOCH = 1_600_000_000_000_000
"""Microseconds of the first scene; scenes are ten minutes apart."""
Rows = dict[str, list[dict[str, Any]]]
VERSION = "v1.0-sim"
TABLES = (
    "scene", "sample", "sample_data", "sample_annotation", "instance", "category", "attribute", "visibility", "sensor",
    "calibrated_sensor", "ego_pose", "log", "map",
)  # fmt: skip
ATTRIBUTES = (
    "vehicle.moving", "vehicle.parked", "vehicle.stopped", "pedestrian.moving", "pedestrian.standing",
    "cycle.with_rider", "cycle.without_rider",
)  # fmt: skip
LEVELS = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
CAMERA = "CAM_FRONT"


def token(*parts: object) -> str:
    """Return the token of a record: 32 hexadecimal digits that depend only on ``parts``."""
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


def write_tables(folder: Path, requests: list[SceneRequest], scenes: list[Rows]) -> None:
    """Write all tables, an empty map and ``splits.json``; ``scenes`` has the rows in the order of the requests."""
    rows: Rows = {table: [row for scene in scenes for row in scene.get(table, [])] for table in TABLES}
    rows["category"] = [
        {"token": token("category", kind.category), "name": kind.category, "description": "Simulated."}
        for kind in KINDS.values()
    ]
    rows["attribute"] = [
        {"token": token("attribute", name), "name": name, "description": "Simulated."} for name in ATTRIBUTES
    ]
    rows["visibility"] = [
        {"token": level, "level": name, "description": f"{name[1:]} % of the object are visible in the front camera"}
        for level, name in LEVELS.items()
    ]
    rows["sensor"] = [
        {"token": token("sensor", channel), "channel": channel, "modality": "camera" if channel == CAMERA else "radar"}
        for channel in (CAMERA, *RADARS)
    ]
    # nuscenes-devkit opens a map for every log; this one is empty.
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")
    write_bytes(folder / "maps" / "empty.png", picture.getvalue())
    rows["map"] = [
        {"token": token("map"), "log_tokens": [row["token"] for row in rows["log"]], "category": "semantic_prior",
         "filename": "maps/empty.png"}
    ]  # fmt: skip
    for table in TABLES:
        text = ",\n".join(json.dumps(row, separators=(",", ":"), allow_nan=False) for row in rows[table])
        write_bytes(folder / VERSION / f"{table}.json", f"[\n{text}\n]\n".encode())
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for request in requests:
        splits[request.split].append(request.name)
    write_json(folder / VERSION / "splits.json", splits)


@dataclass(frozen=True)
class Shot:
    """One camera frame or radar sweep to be written."""

    channel: str
    stamp: int
    """Microseconds since the scene's start."""
    key: int
    """Number of its key frame: the next one in time."""
    is_key: bool


def key_stamp(config: SimulationConfig, key: int) -> int:
    """Return the microseconds from the scene's start to a key frame."""
    return round(key * 1e6 / config.key_rate)


def schedule(
    config: SimulationConfig, replay: bool, rng: np.random.Generator
) -> tuple[list[Shot], dict[str, list[Shot]]]:
    """Return the camera frames and, by channel, the radar sweeps of a scene, in the order of time.

    A key frame's sweep is the last one before it. The other sweeps are the past ones that a reader of ``config.sweeps``
    sweeps needs; a replay scene has all sweeps.
    """
    keys = [key_stamp(config, key) for key in range(config.key_frames)]
    between = max(1, round(config.camera_rate / config.key_rate)) if replay else 1
    step = 1e6 / config.key_rate / between
    total = (config.key_frames - 1) * between + 1
    frames = [Shot(CAMERA, round(i * step), math.ceil(i / between), i % between == 0) for i in range(total)]
    sweeps: dict[str, list[Shot]] = {}
    period = 1e6 / config.radar_rate
    before = math.ceil(config.sweeps + 1)
    for channel in RADARS:
        phase = rng.uniform(0, period)
        stamps = [round(phase + (i - before) * period) for i in range(before + math.ceil(keys[-1] / period) + 1)]
        stamps = [stamp for stamp in stamps if -900_000 < stamp <= keys[-1]]
        all_stamps = stamps if replay else ()
        chosen = {stamp: Shot(channel, stamp, int(np.searchsorted(keys, stamp)), False) for stamp in all_stamps}
        for key, time in enumerate(keys):
            past = [stamp for stamp in stamps if stamp <= time][-config.sweeps :]
            for stamp in past[:-1]:
                chosen.setdefault(stamp, Shot(channel, stamp, key, False))
            chosen[past[-1]] = Shot(channel, past[-1], key, True)
        sweeps[channel] = [chosen[stamp] for stamp in sorted(chosen)]
    return frames, sweeps
