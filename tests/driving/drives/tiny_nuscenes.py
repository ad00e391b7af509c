"""A nuScenes directory of a few frames, written by hand: one straight and one turning scene."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmkeras.media.geometry import Pose

RECORD = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z")]
    + [("dyn_prop", "<i1"), ("id", "<i2")]
    + [(name, "<f4") for name in ("rcs", "vx", "vy", "vx_comp", "vy_comp")]
    + [
        (name, "<i1")
        for name in ("is_quality_valid", "ambig_state", "x_rms", "y_rms", "invalid_state", "pdh0", "vx_rms", "vy_rms")
    ]
)
WIDTH, HEIGHT, FOCAL = 160, 90, 120.0
SAMPLES, STEP, SWEEPS = 4, 500_000, 6
"""Samples a scene, microseconds between them, radar sweeps between them."""
CAMERA = Pose((1.7, 0.0, 1.5), (0.5, -0.5, 0.5, -0.5))
RADARS = {
    "RADAR_FRONT": Pose.flat(3.4, 0.0, 0.0, 0.5),
    "RADAR_FRONT_LEFT": Pose.flat(2.4, 0.8, math.pi / 2, 0.8),
    "RADAR_FRONT_RIGHT": Pose.flat(2.4, -0.8, -math.pi / 2, 0.8),
}
SCENES = {
    "scene-0061": ("Parked truck, construction, intersection", 0.0),
    "scene-0103": ("Night, rain, peds crossing", 0.3),
}
CAR_SPEED = (8.0, 1.0)
"""m/s along x and y of the global frame."""
TABLES = "v1.0-mini"


def ego_pose(turn: float, seconds: float) -> Pose:
    """Return where the car is: 10 m/s, from (100, 50), heading 0.2 rad and turning."""
    yaw = 0.2 + turn * seconds
    return Pose.flat(100 + 10 * seconds * math.cos(0.2), 50 + 10 * seconds * math.sin(0.2), yaw)


def car(seconds: float) -> np.ndarray:
    """Return the centre of the annotated car in the global frame."""
    return np.array([130 + CAR_SPEED[0] * seconds, 60 + CAR_SPEED[1] * seconds, 0.8])


def radar_file(points: np.ndarray, trailing: bytes = b"\0") -> bytes:
    """Return a radar file as nuScenes writes it; points are records of `RECORD`."""
    kinds = [RECORD[name] for name in RECORD.names or ()]
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\n"
        f"FIELDS {' '.join(RECORD.names or ())}\nSIZE {' '.join(str(kind.itemsize) for kind in kinds)}\n"
        f"TYPE {' '.join(kind.kind.upper() for kind in kinds)}\nCOUNT {' '.join('1' for _ in kinds)}\n"
        f"WIDTH {len(points)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(points)}\nDATA binary\n"
    )
    return header.encode() + points.tobytes() + trailing


def records(*rows: tuple[float, float, float, float, float, float], **states: int) -> np.ndarray:
    """Return records of x, y, z, rcs, vx_comp, vy_comp that pass the default filters."""
    result = np.zeros(len(rows), RECORD)
    result["ambig_state"] = 3
    for row, values in enumerate(rows):
        for name, value in zip(("x", "y", "z", "rcs", "vx_comp", "vy_comp"), values, strict=True):
            result[name][row] = value
    for name, value in states.items():
        result[name] = value
    return result


def write(folder: Path, scenes: tuple[str, ...] = tuple(SCENES)) -> Path:
    """Write the directory and return it."""
    tables: dict[str, list[dict[str, Any]]] = {
        "category": [{"token": "c0", "name": "vehicle.car", "description": ""}, {"token": "c1", "name": "animal"}],
        "attribute": [{"token": "a0", "name": "vehicle.moving", "description": ""}],
        "visibility": [
            {"token": str(n), "level": v} for n, v in enumerate(("v0-40", "v40-60", "v60-80", "v80-100"), 1)
        ],
        "log": [{"token": "l", "logfile": "", "vehicle": "v", "date_captured": "2018-07-24", "location": "x"}],
        "map": [{"token": "m", "log_tokens": ["l"], "category": "semantic_prior", "filename": "maps/none.png"}],
        "sensor": [{"token": "s-CAM_FRONT", "channel": "CAM_FRONT", "modality": "camera"}],
        "calibrated_sensor": [_calibration("CAM_FRONT", CAMERA)],
        **{name: [] for name in ("scene", "sample", "sample_data", "sample_annotation", "ego_pose", "instance")},
    }
    tables["calibrated_sensor"][0]["camera_intrinsic"] = [[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]]
    for channel, pose in RADARS.items():
        tables["sensor"].append({"token": f"s-{channel}", "channel": channel, "modality": "radar"})
        tables["calibrated_sensor"].append(_calibration(channel, pose))
    for number, name in enumerate(scenes):
        _scene(folder, tables, name, 1_532_402_927_000_000 + number * 100_000_000)
    (folder / "maps").mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4)).save(folder / "maps" / "none.png")
    for table, rows in tables.items():
        save(folder, table, rows)
    return folder


def load(folder: Path, table: str) -> list[dict[str, Any]]:
    """Return the records of a table."""
    rows: list[dict[str, Any]] = json.loads((folder / TABLES / f"{table}.json").read_text(encoding="utf-8"))
    return rows


def save(folder: Path, table: str, rows: list[dict[str, Any]]) -> None:
    """Write a table as nuScenes does, one field a line."""
    (folder / TABLES).mkdir(parents=True, exist_ok=True)
    (folder / TABLES / f"{table}.json").write_text(json.dumps(rows, indent=0, ensure_ascii=False), encoding="utf-8")


def _calibration(channel: str, pose: Pose) -> dict[str, Any]:
    return {
        "token": f"k-{channel}",
        "sensor_token": f"s-{channel}",
        "translation": list(pose.translation),
        "rotation": list(pose.rotation),
        "camera_intrinsic": [],
    }


def _scene(folder: Path, tables: dict[str, list[dict[str, Any]]], name: str, start: int) -> None:
    description, turn = SCENES[name]
    samples = [f"{name}-p{number}" for number in range(SAMPLES)]
    tables["scene"].append(
        {
            "token": f"t-{name}",
            "name": name,
            "description": description,
            "log_token": "l",
            "nbr_samples": SAMPLES,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
        }
    )
    tables["instance"].append({"token": f"i-{name}", "category_token": "c0", "nbr_annotations": SAMPLES})
    for number, token in enumerate(samples):
        tables["sample"].append(
            {"token": token, "timestamp": start + number * STEP, "scene_token": f"t-{name}"} | _links(samples, number)
        )
        annotations = [f"{name}-a{n}" for n in range(SAMPLES)]
        tables["sample_annotation"].append(
            {
                "token": annotations[number],
                "sample_token": token,
                "instance_token": f"i-{name}",
                "visibility_token": "3",
                "attribute_tokens": ["a0"],
                "translation": car(number * STEP * 1e-6).tolist(),
                "size": [1.9, 4.5, 1.6],
                "rotation": [math.cos(0.05), 0.0, 0.0, math.sin(0.05)],
                "num_lidar_pts": 5,
                "num_radar_pts": 2,
            }
            | _links(annotations, number)
        )
    # Cameras deliver 2 frames a sample, radars SWEEPS; key frames come within a few milliseconds of the sample.
    for channel, count, late in (("CAM_FRONT", 2, 12_000), *((radar, SWEEPS, 30_000) for radar in RADARS)):
        total = (SAMPLES - 1) * count + 1
        tokens = [f"{name}-{channel}-{number}" for number in range(total)]
        for number, token in enumerate(tokens):
            key = number % count == 0
            when = number * STEP // count + late
            suffix = "jpg" if channel == "CAM_FRONT" else "pcd"
            file = f"{'samples' if key else 'sweeps'}/{channel}/{name}__{number}.{suffix}"
            tables["sample_data"].append(
                {
                    "token": token,
                    "sample_token": samples[-(-number // count)],
                    "ego_pose_token": token,
                    "calibrated_sensor_token": f"k-{channel}",
                    "filename": file,
                    "fileformat": suffix,
                    "timestamp": start + when,
                    "is_key_frame": key,
                    "width": WIDTH if suffix == "jpg" else 0,
                    "height": HEIGHT if suffix == "jpg" else 0,
                }
                | _links(tokens, number)
            )
            ego = ego_pose(turn, when * 1e-6)
            tables["ego_pose"].append(
                {
                    "token": token,
                    "timestamp": start + when,
                    "translation": list(ego.translation),
                    "rotation": list(ego.rotation),
                }
            )
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            if suffix == "jpg":
                Image.new("RGB", (WIDTH, HEIGHT), (number * 20, 90, 160)).save(folder / file)
            else:
                (folder / file).write_bytes(_sweep(ego @ RADARS[channel], when * 1e-6))


def _sweep(radar: Pose, seconds: float) -> bytes:
    """Return what a radar sees: a post at (140, 70) and the car, with the radial part of its velocity."""
    rows = []
    for place, velocity in ((np.array([140.0, 70.0, 1.0]), (0.0, 0.0)), (car(seconds), CAR_SPEED)):
        local = radar.inverse.apply(place[None])[0]
        ray = local[:2] / np.linalg.norm(local[:2])
        moving = radar.inverse.rotate(np.array([[*velocity, 0.0]]))[0, :2]
        rows.append((*local, 10.0, *(ray * (ray @ moving))))
    return radar_file(records(*rows))


def _links(tokens: list[str], number: int) -> dict[str, str]:
    return {
        "prev": tokens[number - 1] if number else "",
        "next": tokens[number + 1] if number + 1 < len(tokens) else "",
    }
