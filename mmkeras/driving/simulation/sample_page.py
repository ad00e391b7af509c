"""A page of sample pictures: every light and weather, with the annotated boxes and the radar's returns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.driving.simulation.agents import KINDS
from mmkeras.driving.simulation.conditions import SceneRequest
from mmkeras.driving.simulation.radar import RADARS
from mmkeras.driving.simulation.scene_rows import CAMERA, Rows, token
from mmkeras.media.geometry import BOX_EDGES, Pose, box_corners, project
from mmkeras.media.points.radar_cloud import read_nuscenes_radar

__all__ = ["write_sample_page"]

COLOURS = {"car": (90, 200, 255), "truck": (255, 170, 60), "pedestrian": (255, 90, 150), "bicycle": (140, 255, 110)}
COLUMNS = 3


def write_sample_page(folder: Path, requests: list[SceneRequest], scenes: list[Rows]) -> Path:
    """Write ``samples.png``: one scene of each combination of time and weather, plain and with boxes.

    The pictures and sweeps must exist; ``scenes`` has the rows of the requests in the same order.
    """
    chosen: dict[tuple[str, str], tuple[SceneRequest, Rows]] = {}
    for request, rows in zip(requests, scenes, strict=True):
        chosen.setdefault((request.conditions.time_of_day, request.conditions.weather), (request, rows))
    tiles = [_tile(folder, request, rows) for _, (request, rows) in sorted(chosen.items())]
    width, height = tiles[0].size
    page = Image.new("RGB", (width * min(COLUMNS, len(tiles)), height * math.ceil(len(tiles) / COLUMNS)), (20, 20, 22))
    for i, tile in enumerate(tiles):
        page.paste(tile, (i % COLUMNS * width, i // COLUMNS * height))
    path = folder / "samples.png"
    page.save(path)
    return path


def _tile(folder: Path, request: SceneRequest, rows: Rows) -> Image.Image:
    """Return the plain picture above the same with boxes and returns."""
    sample = rows["sample"][len(rows["sample"]) // 2]["token"]
    data = {
        row["calibrated_sensor_token"]: row
        for row in rows["sample_data"]
        if row["sample_token"] == sample and row["is_key_frame"]
    }
    calibrations = {row["token"]: row for row in rows["calibrated_sensor"]}
    sensors = {token("sensor", channel): channel for channel in (CAMERA, *RADARS)}
    poses = {row["token"]: row for row in rows["ego_pose"]}
    by_channel = {sensors[calibrations[key]["sensor_token"]]: (row, calibrations[key]) for key, row in data.items()}
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
