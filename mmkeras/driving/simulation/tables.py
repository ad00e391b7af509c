"""The tables of a nuScenes directory that do not belong to one scene, and writing all of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

from PIL import Image

from mmkeras.driving.simulation.agents import KINDS
from mmkeras.driving.simulation.conditions import SceneRequest
from mmkeras.driving.simulation.radar import RADARS
from mmkeras.driving.simulation.scene_rows import Rows, token
from mmkeras.driving.simulation.schedule import CAMERA
from mmkeras.storage.files import write_bytes, write_json

__all__ = ["VERSION", "write_tables"]

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


def write_tables(folder: Path, requests: list[SceneRequest], scenes: list[Rows]) -> None:
    """Write all tables, an empty map and ``splits.json``.

    Args:
        folder: the nuScenes directory.
        requests: the scenes.
        scenes: their rows, in the same order.
    """
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
    # The devkit opens a map for every log; this one is empty.
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
