"""Simulates one scene and writes its pictures and sweeps; its table rows are returned."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image

from mmkeras.driving.simulation.annotations import annotate
from mmkeras.driving.simulation.camera import View, mounting
from mmkeras.driving.simulation.conditions import SceneRequest
from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.exposure import expose
from mmkeras.driving.simulation.painting import Painter
from mmkeras.driving.simulation.radar import RADARS, Returns, sweep_all
from mmkeras.driving.simulation.radar_file import sweep_file
from mmkeras.driving.simulation.scene_rows import Rows, SceneRows
from mmkeras.driving.simulation.schedule import CAMERA, Shot, schedule
from mmkeras.driving.simulation.visibility import Sight, sight
from mmkeras.driving.simulation.weather import atmosphere
from mmkeras.driving.simulation.world import build_world
from mmkeras.media.geometry import Pose

__all__ = ["write_scene"]


def write_scene(request: SceneRequest, config: SimulationConfig, folder: Path) -> Rows:
    """Write one scene's files below ``folder`` and return its rows by table."""
    rng = np.random.default_rng([config.seed, 3, request.index])
    mounts = {CAMERA: mounting(1.7, 0.0, 1.5, *np.radians(rng.normal(0.0, (0.4, 0.6))))}
    for channel, (x, y, z, yaw) in RADARS.items():
        mounts[channel] = Pose.flat(x, y, yaw + math.radians(rng.normal(0, 0.3)), z)
    scene = SceneRows(request, config, folder, build_world(request, config), mounts)
    scene.add_calibration()
    frames, sweeps = schedule(config, request.replay, rng)
    points = _write_sweeps(scene, sweeps, rng)
    seen = _write_pictures(scene, frames)
    scene.add_samples()
    for channel, shots in {CAMERA: frames, **sweeps}.items():
        scene.add_sample_data(channel, shots)
    annotate(scene, seen, points)
    return scene.rows


def _write_sweeps(
    scene: SceneRows, sweeps: dict[str, list[Shot]], rng: np.random.Generator
) -> dict[int, dict[int, int]]:
    """Write all radar files and return, by key frame and agent, the returns of the key sweeps."""
    shots = [shot for channel in sweeps for shot in sweeps[channel]]
    times = np.array([shot.stamp * 1e-6 - scene.config.radar_latency for shot in shots])
    position, heading, velocity = (column[:, 0] for column in scene.world.tracks.at_all(times, slice(1)))
    mounts = np.array([(*scene.mounts[s.channel].translation[:2], scene.mounts[s.channel].yaw) for s in shots])
    c, s = np.cos(heading), np.sin(heading)
    x, y = c * mounts[:, 0] - s * mounts[:, 1], s * mounts[:, 0] + c * mounts[:, 1]
    poses = np.stack([position[:, 0] + x, position[:, 1] + y, heading + mounts[:, 2]], axis=1)
    counts: dict[int, dict[int, int]] = {}
    returns: list[Returns] = sweep_all(scene.world, times, poses, velocity, scene.config, rng)
    for shot, measured in zip(shots, returns, strict=True):
        (scene.folder / scene.filename(shot)).write_bytes(sweep_file(measured))
        if shot.is_key:
            at = counts.setdefault(shot.key, {})
            for owner in measured.owner[measured.valid & (measured.owner >= 0)].tolist():
                at[owner] = at.get(owner, 0) + 1
    return counts


def _write_pictures(scene: SceneRows, frames: list[Shot]) -> dict[int, dict[int, Sight]]:
    """Write all camera frames and return, by key frame and agent, what the camera sees."""
    config = scene.config
    air = atmosphere(scene.request.conditions, np.random.default_rng([config.seed, 4, scene.request.index]))
    # A body on its springs: three sines, none of which repeats with the key frames.
    drawn = np.random.default_rng([config.seed, 6, scene.request.index])
    swings, phases = 2 * math.pi * drawn.uniform(0.7, 1.8, (2, 3)), drawn.uniform(0, 2 * math.pi, (2, 3))
    painter = Painter(scene.world, air.shading, air.lamps_on, air.sight)
    seen = {}
    for shot in frames:
        rng = np.random.default_rng([config.seed, 5, scene.request.index, shot.stamp])
        time = shot.stamp * 1e-6
        rock = math.radians(config.pitch_jitter) * np.sin(time * swings + phases).sum(1) * math.sqrt(2 / 3)
        view = View.of(scene.ego(time), scene.mounts[CAMERA], rock[0], rock[1] * 0.5, config.focal, config.size)
        canvas, numbers = painter.paint(view, time)
        content = io.BytesIO()
        Image.fromarray(expose(canvas, air, rng)).save(content, "JPEG", quality=config.jpeg_quality)
        (scene.folder / scene.filename(shot)).write_bytes(content.getvalue())
        if shot.is_key:
            away = scene.world.tracks.at(time)[0] - scene.world.tracks.at(time)[0][0]
            near = np.hypot(away[:, 0], away[:, 1]) < config.annotation_range
            seen[shot.key] = sight(canvas, {agent: number for agent, number in numbers.items() if near[agent]})
    return seen
