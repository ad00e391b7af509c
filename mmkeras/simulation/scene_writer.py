"""Simulates one scene and writes its pictures and sweeps; its table rows are returned."""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.geometry import Pose
from mmkeras.simulation.agents import KINDS, Agent
from mmkeras.simulation.camera import View, mounting
from mmkeras.simulation.conditions import SceneRequest
from mmkeras.simulation.config import SimulationConfig
from mmkeras.simulation.painting import Painter
from mmkeras.simulation.radar import RADARS, Returns, sweep_all
from mmkeras.simulation.radar_file import sweep_file
from mmkeras.simulation.visibility import Sight, sight
from mmkeras.simulation.weather import atmosphere, expose
from mmkeras.simulation.world import World, build_world

__all__ = ["Rows", "token", "write_scene"]

CAMERA = "CAM_FRONT"
EPOCH = 1_600_000_000_000_000
"""Microseconds of the first scene; scenes stand ten minutes apart."""
Rows = dict[str, list[dict[str, Any]]]


def token(*parts: object) -> str:
    """Return the token of a record: 32 hexadecimal digits that follow from what it is."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class _Shot:
    """One camera frame or radar sweep to be written."""

    channel: str
    stamp: int
    """Microseconds since the scene's start."""
    key: int
    """The key frame that it belongs to: the next one."""
    is_key: bool


@dataclass
class _Scene:
    request: SceneRequest
    config: SimulationConfig
    folder: Path
    world: World
    mounts: dict[str, Pose]
    rows: Rows = field(default_factory=dict)

    def add(self, table: str, row: dict[str, Any]) -> None:
        self.rows.setdefault(table, []).append(row)

    def token(self, *parts: object) -> str:
        return token(self.config.seed, self.request.name, *parts)

    def stamp(self, microseconds: int) -> int:
        return EPOCH + self.request.index * 600_000_000 + microseconds

    def ego(self, seconds: float) -> Pose:
        position, heading, _ = self.world.tracks.at(seconds)
        foot = self.world.ground.lift(position[0])
        slope = self.world.ground.slope(position[0], float(heading[0]))
        level = mounting(0, 0, 0, float(heading[0]), -slope).matrix[:3, :3]
        matrix = np.eye(4)
        # ``mounting`` ends with the turn from ego to camera axes; its columns are -y, -z and x of the vehicle.
        matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = level[:, 2], -level[:, 0], -level[:, 1]
        matrix[:3, 3] = foot
        return Pose.from_matrix(matrix)


def write_scene(request: SceneRequest, config: SimulationConfig, folder: Path) -> Rows:
    """Write one scene's files below ``folder`` and return its rows by table."""
    rng = np.random.default_rng([config.seed, 3, request.index])
    mounts = {CAMERA: mounting(1.7, 0.0, 1.5, *np.radians(rng.normal(0.0, (0.4, 0.6))))}
    for channel, (x, y, z, yaw) in RADARS.items():
        mounts[channel] = Pose.flat(x, y, yaw + math.radians(rng.normal(0, 0.3)), z)
    scene = _Scene(request, config, folder, build_world(request, config), mounts)
    _calibration(scene)
    frames, sweeps = _shots(scene, rng)
    points = _write_sweeps(scene, sweeps, rng)
    seen = _write_pictures(scene, frames)
    _samples(scene)
    for channel, shots in {CAMERA: frames, **sweeps}.items():
        _sample_data(scene, channel, shots)
    _annotations(scene, seen, points)
    return scene.rows


def _calibration(scene: _Scene) -> None:
    width, height, focal = scene.config.width, scene.config.height, scene.config.focal
    matrix = [[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]]
    for channel, pose in scene.mounts.items():
        scene.add("calibrated_sensor", {
            "token": scene.token("calibration", channel), "sensor_token": token("sensor", channel),
            "translation": list(pose.translation), "rotation": list(pose.rotation),
            "camera_intrinsic": matrix if channel == CAMERA else [],
        })  # fmt: skip
    scene.add("log", {
        "token": scene.token("log"), "logfile": f"simulated-{scene.request.name}", "vehicle": "simulated",
        "date_captured": "2020-09-13", "location": "simulation",
    })  # fmt: skip
    samples = scene.config.key_frames
    scene.add("scene", {
        "token": scene.token("scene"), "log_token": scene.token("log"), "nbr_samples": samples,
        "first_sample_token": scene.token("sample", 0), "last_sample_token": scene.token("sample", samples - 1),
        "name": scene.request.name, "description": scene.request.conditions.description,
    })  # fmt: skip


def _key_stamp(config: SimulationConfig, key: int) -> int:
    return round(key * 1e6 / config.key_rate)


def _shots(scene: _Scene, rng: np.random.Generator) -> tuple[list[_Shot], dict[str, list[_Shot]]]:
    config, replay = scene.config, scene.request.replay
    keys = [_key_stamp(config, key) for key in range(config.key_frames)]
    between = max(1, round(config.camera_rate / config.key_rate)) if replay else 1
    step = 1e6 / config.key_rate / between
    total = (config.key_frames - 1) * between + 1
    frames = [_Shot(CAMERA, round(i * step), math.ceil(i / between), i % between == 0) for i in range(total)]
    sweeps: dict[str, list[_Shot]] = {}
    period = 1e6 / config.radar_rate
    before = math.ceil(config.sweeps + 1)
    for channel in RADARS:
        phase = rng.uniform(0, period)
        stamps = [round(phase + (i - before) * period) for i in range(before + math.ceil(keys[-1] / period) + 1)]
        stamps = [stamp for stamp in stamps if -900_000 < stamp <= keys[-1]]
        chosen: dict[int, _Shot] = {}
        for stamp in stamps if replay else ():
            chosen[stamp] = _Shot(channel, stamp, int(np.searchsorted(keys, stamp)), False)
        for key, time in enumerate(keys):
            past = [stamp for stamp in stamps if stamp <= time][-config.sweeps :]
            for stamp in past[:-1]:
                chosen.setdefault(stamp, _Shot(channel, stamp, key, False))
            chosen[past[-1]] = _Shot(channel, past[-1], key, True)
        sweeps[channel] = [chosen[stamp] for stamp in sorted(chosen)]
    return frames, sweeps


def _write_sweeps(scene: _Scene, sweeps: dict[str, list[_Shot]], rng: np.random.Generator) -> dict[int, dict[int, int]]:
    """Write all radar files and return, by key frame and agent, the returns of the key sweeps."""
    shots = [shot for channel in sweeps for shot in sweeps[channel]]
    times = np.array([shot.stamp * 1e-6 - scene.config.radar_latency for shot in shots])
    poses, speeds = np.empty((len(shots), 3)), np.empty((len(shots), 2))
    for i, shot in enumerate(shots):
        pose = scene.ego(times[i]) @ scene.mounts[shot.channel]
        poses[i] = (*pose.translation[:2], pose.yaw)
        speeds[i] = scene.world.tracks.at(times[i])[2][0]
    counts: dict[int, dict[int, int]] = {}
    returns: list[Returns] = sweep_all(scene.world, times, poses, speeds, scene.config, rng)
    for shot, measured in zip(shots, returns, strict=True):
        (scene.folder / _filename(scene, shot)).write_bytes(sweep_file(measured))
        if shot.is_key:
            at = counts.setdefault(shot.key, {})
            for owner in measured.owner[measured.valid & (measured.owner >= 0)].tolist():
                at[owner] = at.get(owner, 0) + 1
    return counts


def _write_pictures(scene: _Scene, frames: list[_Shot]) -> dict[int, dict[int, Sight]]:
    """Write all camera frames and return, by key frame and agent, what the camera sees."""
    config = scene.config
    air = atmosphere(scene.request.conditions, np.random.default_rng([config.seed, 4, scene.request.index]))
    painter = Painter(scene.world, air.shading, air.lamps_on)
    seen = {}
    for shot in frames:
        rng = np.random.default_rng([config.seed, 5, scene.request.index, shot.stamp])
        rock = np.radians(np.clip(rng.normal(0, 1, 2), -2.5, 2.5) * config.pitch_jitter)
        time = shot.stamp * 1e-6
        view = View.of(scene.ego(time), scene.mounts[CAMERA], rock[0], rock[1] * 0.5, config.focal, config.size)
        canvas, numbers = painter.paint(view, time)
        content = io.BytesIO()
        Image.fromarray(expose(canvas, air, rng)).save(content, "JPEG", quality=config.jpeg_quality)
        (scene.folder / _filename(scene, shot)).write_bytes(content.getvalue())
        if shot.is_key:
            seen[shot.key] = sight(canvas, numbers)
    return seen


def _filename(scene: _Scene, shot: _Shot) -> str:
    ending = "jpg" if shot.channel == CAMERA else "pcd"
    kind = "samples" if shot.is_key else "sweeps"
    return f"{kind}/{shot.channel}/{scene.request.name}__{shot.channel}__{scene.stamp(shot.stamp)}.{ending}"


def _samples(scene: _Scene) -> None:
    count = scene.config.key_frames
    for key in range(count):
        scene.add("sample", {
            "token": scene.token("sample", key), "timestamp": scene.stamp(_key_stamp(scene.config, key)),
            "prev": scene.token("sample", key - 1) if key else "",
            "next": scene.token("sample", key + 1) if key + 1 < count else "", "scene_token": scene.token("scene"),
        })  # fmt: skip


def _sample_data(scene: _Scene, channel: str, shots: list[_Shot]) -> None:
    camera = channel == CAMERA
    names = [scene.token("data", channel, shot.stamp) for shot in shots]
    for i, shot in enumerate(shots):
        ego = scene.ego(shot.stamp * 1e-6)
        pose = scene.token("pose", channel, shot.stamp)
        scene.add("ego_pose", {
            "token": pose, "timestamp": scene.stamp(shot.stamp),
            "rotation": [round(v, 9) for v in ego.rotation], "translation": [round(v, 5) for v in ego.translation],
        })  # fmt: skip
        scene.add("sample_data", {
            "token": names[i], "sample_token": scene.token("sample", shot.key), "ego_pose_token": pose,
            "calibrated_sensor_token": scene.token("calibration", channel), "timestamp": scene.stamp(shot.stamp),
            "fileformat": "jpg" if camera else "pcd", "is_key_frame": shot.is_key,
            "height": scene.config.height if camera else 0, "width": scene.config.width if camera else 0,
            "filename": _filename(scene, shot), "prev": names[i - 1] if i else "",
            "next": names[i + 1] if i + 1 < len(names) else "",
        })  # fmt: skip


def _attribute(agent: Agent, speed: float) -> str:
    if agent.kind == "pedestrian":
        return "pedestrian.moving" if speed > 0.2 else "pedestrian.standing"
    if agent.kind == "bicycle":
        return "cycle.with_rider"
    return "vehicle.parked" if agent.parked else "vehicle.moving" if speed > 0.2 else "vehicle.stopped"


def _annotations(scene: _Scene, seen: dict[int, dict[int, Sight]], points: dict[int, dict[int, int]]) -> None:
    """Annotate, at every key frame, who is near and ahead within 50 degrees; hidden ones as well."""
    world, tracks = scene.world, {}
    for key in range(scene.config.key_frames):
        position, heading, velocity = world.tracks.at(_key_stamp(scene.config, key) * 1e-6)
        feet = world.ground.lift(position)
        away = position - position[0]
        angle = np.arctan2(away[:, 1], away[:, 0]) - heading[0]
        ahead = np.cos(angle) > math.cos(math.radians(50.0))
        near = np.hypot(away[:, 0], away[:, 1]) < scene.config.annotation_range
        for i in np.flatnonzero(ahead & near)[0:].tolist():
            if i:
                tracks.setdefault(i, []).append((key, feet[i], float(heading[i]), float(np.hypot(*velocity[i]))))
    for i, track in tracks.items():
        agent = world.agents[i]
        names = [scene.token("annotation", i, key) for key, *_ in track]
        for n, (key, foot, heading_i, speed) in enumerate(track):
            view = seen[key].get(i, Sight(0, 0.0))
            scene.add("sample_annotation", {
                "token": names[n], "sample_token": scene.token("sample", key), "instance_token": scene.token("instance", i),
                "visibility_token": str(view.level), "attribute_tokens": [token("attribute", _attribute(agent, speed))],
                "translation": [round(foot[0], 4), round(foot[1], 4), round(foot[2] + agent.size[2] / 2, 4)],
                "size": list(agent.size),
                "rotation": [round(math.cos(heading_i / 2), 9), 0.0, 0.0, round(math.sin(heading_i / 2), 9)],
                "prev": names[n - 1] if n else "", "next": names[n + 1] if n + 1 < len(names) else "",
                "num_lidar_pts": view.lidar_points, "num_radar_pts": points.get(key, {}).get(i, 0),
            })  # fmt: skip
        scene.add("instance", {
            "token": scene.token("instance", i), "category_token": token("category", KINDS[agent.kind].category),
            "nbr_annotations": len(track), "first_annotation_token": names[0], "last_annotation_token": names[-1],
        })  # fmt: skip
