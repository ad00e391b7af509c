"""Simulates one scene, writes its pictures and sweeps, and returns its table rows."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.driving.simulation.agents import KINDS, Agent
from mmkeras.driving.simulation.camera import View, mounting
from mmkeras.driving.simulation.canvas import SCALE, Canvas
from mmkeras.driving.simulation.config import SceneRequest, SimulationConfig
from mmkeras.driving.simulation.exposure import expose
from mmkeras.driving.simulation.painting import Painter
from mmkeras.driving.simulation.radar import RADARS, Returns, sweep_all
from mmkeras.driving.simulation.scene_rows import CAMERA, Rows, SceneRows, Shot, key_stamp, schedule, token
from mmkeras.driving.simulation.weather import atmosphere
from mmkeras.driving.simulation.world import build_world
from mmkeras.media.geometry import Pose

__all__ = ["RECORD", "Sight", "annotate", "sight", "sweep_file", "write_scene"]

LEVELS = (0.4, 0.6, 0.8)
PIXELS_PER_POINT = 9.0


@dataclass(frozen=True)
class Sight:
    """How much of one road user the camera sees."""

    pixels: int
    """Visible pixels of the full-size picture."""
    share: float
    """Visible share of the part within the picture, 0 to 1."""

    @property
    def level(self) -> int:
        """The nuScenes visibility: 1 to 40 %, 2 to 60 %, 3 to 80 %, 4 to 100 %."""
        return 1 + sum(self.share > level for level in LEVELS)

    @property
    def lidar_points(self) -> int:
        """Substitute for the number of lidar points, which is not simulated: visible pixels over nine."""
        return int(self.pixels / PIXELS_PER_POINT)


def sight(canvas: Canvas, numbers: dict[int, int]) -> dict[int, Sight]:
    """Return how much the camera sees of road users, by agent index; ``numbers`` are their values in the object map."""
    visible = np.bincount(canvas.objects.ravel(), minlength=256)
    size = canvas.image.size
    alone = Image.new("L", size, 0)
    draw = ImageDraw.Draw(alone)
    result = {}
    for agent, number in numbers.items():
        outlines = canvas.outlines.get(number)
        if not outlines:
            continue
        x = [value for outline in outlines for value in outline[::2]]
        y = [value for outline in outlines for value in outline[1::2]]
        left, top = (max(int(min(values)), 0) // SCALE * SCALE for values in (x, y))
        right, bottom = (min(int(max(values)) + 2, most) for values, most in ((x, size[0]), (y, size[1])))
        if right <= left or bottom <= top:
            continue
        for outline in outlines:
            draw.polygon(outline, fill=1)
        box = (left, top, right, bottom)
        total = int(np.asarray(alone.crop(box))[::SCALE, ::SCALE].sum())
        alone.paste(0, box)
        if total:
            seen = int(visible[number])
            result[agent] = Sight(seen, min(seen / total, 1.0))
    return result


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
    """Write all radar files and return, by key frame and agent, the number of returns in the key sweeps."""
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
    """Write all camera frames and return how much of each agent the camera sees, by key frame and agent."""
    config = scene.config
    air = atmosphere(scene.request.conditions, np.random.default_rng([config.seed, 4, scene.request.index]))
    # The body's pitch and roll: three sines each whose periods differ from the key frames'.
    drawn = np.random.default_rng([config.seed, 6, scene.request.index])
    swings, phases = 2 * math.pi * drawn.uniform(0.7, 1.8, (2, 3)), drawn.uniform(0, 2 * math.pi, (2, 3))
    painter = Painter(scene.world, air)
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
            position = scene.world.tracks.at(time)[0]
            away = position - position[0]
            near = np.hypot(away[:, 0], away[:, 1]) < config.annotation_range
            seen[shot.key] = sight(canvas, {agent: number for agent, number in numbers.items() if near[agent]})
    return seen


def _attribute(agent: Agent, speed: float) -> str:
    if agent.kind == "pedestrian":
        return "pedestrian.moving" if speed > 0.2 else "pedestrian.standing"
    if agent.kind == "bicycle":
        return "cycle.with_rider"
    return "vehicle.parked" if agent.parked else "vehicle.moving" if speed > 0.2 else "vehicle.stopped"


def annotate(scene: SceneRows, seen: dict[int, dict[int, Sight]], points: dict[int, dict[int, int]]) -> None:
    """Annotate, at every key frame, the near road users within 50 degrees of straight ahead, hidden or not."""
    world = scene.world
    tracks: dict[int, list[tuple[int, np.ndarray, float, float]]] = {}
    for key in range(scene.config.key_frames):
        position, heading, velocity = world.tracks.at(key_stamp(scene.config, key) * 1e-6)
        feet = world.ground.lift(position)
        away = position - position[0]
        angle = np.arctan2(away[:, 1], away[:, 0]) - heading[0]
        ahead = np.cos(angle) > math.cos(math.radians(50.0))
        near = np.hypot(away[:, 0], away[:, 1]) < scene.config.annotation_range
        for i in np.flatnonzero(ahead & near).tolist():
            if i:
                tracks.setdefault(i, []).append((key, feet[i], float(heading[i]), float(np.hypot(*velocity[i]))))
    for i, track in tracks.items():
        agent = world.agents[i]
        names = [scene.token("annotation", i, key) for key, *_ in track]
        for n, (key, foot, heading_i, speed) in enumerate(track):
            view = seen[key].get(i, Sight(0, 0.0))
            scene.add("sample_annotation", {
                "token": names[n], "sample_token": scene.token("sample", key),
                "instance_token": scene.token("instance", i),
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


RECORD = np.dtype(
    [
        ("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("dyn_prop", "i1"), ("id", "<i2"), ("rcs", "<f4"), ("vx", "<f4"),
        ("vy", "<f4"), ("vx_comp", "<f4"), ("vy_comp", "<f4"), ("is_quality_valid", "i1"), ("ambig_state", "i1"),
        ("x_rms", "i1"), ("y_rms", "i1"), ("invalid_state", "i1"), ("pdh0", "i1"), ("vx_rms", "i1"), ("vy_rms", "i1"),
    ]
)  # fmt: skip
"""One return of 43 bytes."""


def sweep_file(returns: Returns) -> bytes:
    """Return the content of a radar ``.pcd`` in the sensor's frame (x forward, y left).

    It is a PCD of packed 43-byte records, as nuScenes stores it. nuscenes-devkit rejects a file that ends with the last
    record, so one byte follows it. A sweep without returns holds one record of NaN.
    """
    count = len(returns.range)
    records = np.zeros(max(count, 1), RECORD)
    if count:
        c, s = np.cos(returns.azimuth), np.sin(returns.azimuth)
        records["x"], records["y"] = returns.range * c, returns.range * s
        records["id"], records["rcs"] = np.arange(count), np.round(returns.rcs * 2) / 2
        records["vx"], records["vy"] = returns.speed * c, returns.speed * s
        records["vx_comp"], records["vy_comp"] = returns.ground_speed * c, returns.ground_speed * s
        moving = np.abs(returns.ground_speed) > 0.7
        records["dyn_prop"] = np.where(moving, np.where(returns.ground_speed < 0, 2, 0), 1)
        records["is_quality_valid"] = 1
        records["ambig_state"] = 3
        records["invalid_state"] = np.where(returns.valid, 0, 4)
        records["x_rms"] = records["y_rms"] = 19
        records["vx_rms"] = records["vy_rms"] = 16
        records["pdh0"] = 1
    else:
        for name in ("x", "y", "z", "rcs", "vx", "vy", "vx_comp", "vy_comp"):
            records[name] = np.nan
    return _header(len(records)) + records.tobytes() + b"\n"


def _header(points: int) -> bytes:
    names = RECORD.names or ()
    formats = [RECORD[name] for name in names]
    lines = (
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join(names),
        "SIZE " + " ".join(str(of.itemsize) for of in formats),
        "TYPE " + " ".join("F" if of.kind == "f" else "I" for of in formats),
        "COUNT " + " ".join("1" for _ in names),
        f"WIDTH {points}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {points}",
        "DATA binary",
    )
    return ("\n".join(lines) + "\n").encode()
