"""Writes simulated drives as a nuScenes directory."""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
from collections.abc import Callable
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from mmkeras.core.console import Console, DescriptionColumn
from mmkeras.core.errors import DataError
from mmkeras.core.parallel import WorkerDied, WorkerPool
from mmkeras.driving.simulation.agents import KINDS
from mmkeras.driving.simulation.config import SceneRequest, SimulationConfig, plan_scenes
from mmkeras.driving.simulation.radar import RADARS
from mmkeras.driving.simulation.scene_rows import CAMERA, Rows, token, write_tables
from mmkeras.driving.simulation.scene_writer import write_scene
from mmkeras.media.geometry import BOX_EDGES, Pose, box_corners, project
from mmkeras.media.points.radar_cloud import read_nuscenes_radar
from mmkeras.storage.files import locked, write_bytes, write_json

__all__ = ["simulate"]

COLOURS = {"car": (90, 200, 255), "truck": (255, 170, 60), "pedestrian": (255, 90, 150), "bicycle": (140, 255, 110)}
COLUMNS = 3


def _write_sample_page(folder: Path, requests: list[SceneRequest], scenes: list[Rows]) -> None:
    """Write ``samples.png``: one scene of each combination of time and weather, plain and with boxes."""
    chosen: dict[tuple[str, str], tuple[SceneRequest, Rows]] = {}
    for request, rows in zip(requests, scenes, strict=True):
        chosen.setdefault((request.conditions.time_of_day, request.conditions.weather), (request, rows))
    tiles = [_tile(folder, request, rows) for _, (request, rows) in sorted(chosen.items())]
    width, height = tiles[0].size
    page = Image.new("RGB", (width * min(COLUMNS, len(tiles)), height * math.ceil(len(tiles) / COLUMNS)), (20, 20, 22))
    for i, tile in enumerate(tiles):
        page.paste(tile, (i % COLUMNS * width, i // COLUMNS * height))
    page.save(folder / "samples.png")


def _tile(folder: Path, request: SceneRequest, rows: Rows) -> Image.Image:
    """Return the plain picture above the same picture with boxes and radar returns."""
    sample = rows["sample"][len(rows["sample"]) // 2]["token"]
    calibrations = {row["token"]: row for row in rows["calibrated_sensor"]}
    sensors = {token("sensor", channel): channel for channel in (CAMERA, *RADARS)}
    poses = {row["token"]: row for row in rows["ego_pose"]}
    by_channel = {}
    for row in rows["sample_data"]:
        if row["sample_token"] == sample and row["is_key_frame"]:
            calibration = calibrations[row["calibrated_sensor_token"]]
            by_channel[sensors[calibration["sensor_token"]]] = (row, calibration)
    row, calibration = by_channel[CAMERA]
    intrinsic = np.array(calibration["camera_intrinsic"])
    to_camera = (_pose(poses[row["ego_pose_token"]]) @ _pose(calibration)).inverse
    with Image.open(folder / row["filename"]) as opened:
        plain = opened.convert("RGB")
    drawn = plain.copy()
    draw = ImageDraw.Draw(drawn)
    categories = {row["token"]: row["category_token"] for row in rows.get("instance", [])}
    colours = {token("category", kind.category): COLOURS[name] for name, kind in KINDS.items()}
    for note in rows.get("sample_annotation", []):
        if note["sample_token"] == sample and note["num_lidar_pts"] + note["num_radar_pts"]:
            pose, size = _pose(note), np.array([note["size"]])
            corners = to_camera.apply(box_corners(np.array([pose.translation]), size, pose.matrix[None, :3, :3])[0])
            if (corners[:, 2] > 0.5).all():
                pixels = project(corners, intrinsic)
                for a, b in BOX_EDGES:
                    draw.line([*pixels[a], *pixels[b]], fill=colours[categories[note["instance_token"]]])
    for channel in RADARS:
        row, calibration = by_channel[channel]
        points = read_nuscenes_radar(folder / row["filename"])
        place = (to_camera @ _pose(poses[row["ego_pose_token"]]) @ _pose(calibration)).apply(points[:, :3])
        moving = np.hypot(points[:, 4], points[:, 5]) > 1.0
        for at, fast in zip(place, moving, strict=True):
            if at[2] > 1.0:
                x, y = project(at[None], intrinsic)[0]
                size = 1.2 + 12.0 / at[2]
                draw.ellipse([x - size, y - size, x + size, y + size], fill=(255, 60, 50) if fast else (255, 230, 80))
    draw.text((6, 4), request.conditions.description, fill=(255, 255, 255))
    tile = Image.new("RGB", (plain.width, 2 * plain.height + 4), (20, 20, 22))
    tile.paste(plain, (0, 0))
    tile.paste(drawn, (0, plain.height))
    return tile


def _pose(row: dict[str, Any]) -> Pose:
    return Pose(tuple(row["translation"]), tuple(row["rotation"]))


FORMAT = 3
"""Version of the output; a directory of another version is not reused."""
NOTE = "simulation.json"
PARTS = "parts"


def simulate(config: SimulationConfig, folder: Path, console: Console | None = None) -> Path:
    """Write a nuScenes directory of simulated drives, and return it.

    It is written as ``<folder>.partial`` and renamed when it is complete. After an interruption the same call continues
    with the missing scenes. An existing directory of the same configuration is left unchanged.

    Raises:
        DataError: ``folder`` holds something else, or a worker process died.
    """
    if folder.exists():  # it is complete, and may be read-only
        return _simulate(config, folder, console)
    folder.parent.mkdir(parents=True, exist_ok=True)
    say = None if console is None else functools.partial(console.print, markup=False, soft_wrap=True)
    with locked(folder.with_name(folder.name + ".lock"), "which simulates the same drives", say):
        return _simulate(config, folder, console)


def _simulate(config: SimulationConfig, folder: Path, console: Console | None) -> Path:
    note = {"format": FORMAT, **config.identity}
    if folder.exists():
        if _note(folder) == note:
            return folder
        raise DataError(
            f"{folder}: expected nothing or drives simulated with the same configuration, "
            "got something else; delete it or name another folder"
        )
    partial = folder.with_name(folder.name + ".partial")
    if partial.exists() and _note(partial) != note:
        shutil.rmtree(partial)
    for kind in ("samples", "sweeps"):
        for channel in (CAMERA, *RADARS):
            (partial / kind / channel).mkdir(parents=True, exist_ok=True)
    write_json(partial / NOTE, note)
    requests = plan_scenes(config)
    missing = [request for request in requests if not _part(partial, request).is_file()]
    columns = (DescriptionColumn(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=console is None) as bar:
        task = bar.add_task("Simulating drives", total=len(requests), completed=len(requests) - len(missing))
        _run(missing, config, partial, functools.partial(bar.advance, task))
    scenes: list[Rows] = [json.loads(_part(partial, request).read_bytes()) for request in requests]
    write_tables(partial, requests, scenes)
    _write_sample_page(partial, requests, scenes)
    shutil.rmtree(partial / PARTS)
    os.replace(partial, folder)
    return folder


def _note(folder: Path) -> object:
    try:
        return json.loads((folder / NOTE).read_bytes())
    except (OSError, ValueError):
        return None


def _part(folder: Path, request: SceneRequest) -> Path:
    return folder / PARTS / f"{request.name}.json"


def _simulate_scene(request: SceneRequest, config: SimulationConfig, folder: Path) -> None:
    rows = write_scene(request, config, folder)
    write_bytes(_part(folder, request), json.dumps(rows, separators=(",", ":"), allow_nan=False).encode())


def _run(requests: list[SceneRequest], config: SimulationConfig, folder: Path, advance: Callable[[], None]) -> None:
    workers = min(config.workers or os.cpu_count() or 1, len(requests))
    if workers <= 1 or len(requests) < 4:
        for request in requests:
            _simulate_scene(request, config, folder)
            advance()
        return
    try:
        with WorkerPool(workers) as pool:
            for future in as_completed([pool.submit(_simulate_scene, request, config, folder) for request in requests]):
                future.result()
                advance()
    except WorkerDied as error:
        raise DataError(
            f"A worker process died ({error}), perhaps for lack of memory. Finished scenes are kept: run the same "
            "again, with fewer workers if it repeats"
        ) from None
