"""Astyx HiRes 2019: front camera, high-resolution radar, 3D boxes (Meyer and Kuschk, EuRAD 2019; CC BY-NC-SA 4.0).

A directory has ``calibration``, ``groundtruth_obj3d``, one folder that starts with ``camera``, one with ``radar`` and
perhaps ``canbus``; the files of a frame share a number. The ego frame here is that of the dataset's reference: the
radar's own, x forward, y left, z up.

Two facts that the files do not state were found on the demo frames. ``V_r`` is positive for approaching objects: only
then do the returns of standing objects agree with the speed of the car. And ``V_r`` wraps around: its 128 steps of
0.0812 m/s end at 5.2 m/s. Velocities over ground are therefore known up to a multiple of 10.4 m/s; the one nearest to 0
is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.core.typed import parse_json
from mmkeras.driving.drives.snapshot import Box, Snapshot, camera_matrix, pose_of, read_text
from mmkeras.media.geometry import Pose, quaternion_matrix

__all__ = ["is_astyx", "snapshots"]

COLUMNS = ["X", "Y", "Z", "V_r", "Mag"]
WRAP = 128 * 0.0812
"""V_r wraps around after this many m/s."""
CLASSES = {
    "Bus": "bus",
    "Car": "car",
    "Cyclist": "bicycle",
    "Motorcyclist": "motorcycle",
    "Person": "pedestrian",
    "Person_with_Object": "pedestrian",
    "Towed_Object": "trailer",
    "Trailer": "trailer",
    "Truck": "truck",
}
MOST_SPEED = 1000.0
"""km/h; a larger speed is ignored."""
LONGEST_NAME = 80
"""Characters of a sensor's name."""
VISIBILITY = {0: 4, 1: 3, 2: 2, 3: 1}
"""Visibility level of nuScenes by Astyx's occlusion, from no to total occlusion."""


def is_astyx(folder: Path) -> bool:
    """Return whether a directory looks like Astyx HiRes 2019."""
    return (folder / "calibration").is_dir() and (folder / "groundtruth_obj3d").is_dir()


def snapshots(folder: Path) -> Iterator[Snapshot]:
    """Yield the frames in the order of their numbers, with Astyx's magnitude (dB) in place of the RCS."""
    calibrations = sorted((folder / "calibration").glob("*.json"))
    if not calibrations:
        raise DataError(f"{folder / 'calibration'}: contains no calibration file")
    for path in calibrations:
        yield _snapshot(folder, path)


def _snapshot(folder: Path, calibration: Path) -> Snapshot:
    sensors = _sensors(calibration)
    number = calibration.stem
    camera_name, camera_data = _sensor(sensors, "camera", calibration)
    radar_name, radar_data = _sensor(sensors, "radar", calibration)
    pictures = sorted((folder / camera_name).glob(f"{number}.*"))
    if not pictures:
        raise DataError(f"{folder / camera_name / number}.*: no such picture")
    camera = pose_of(camera_data.get("T_to_ref_COS", ()), f"{calibration}: {camera_name}")
    radar = pose_of(radar_data.get("T_to_ref_COS", ()), f"{calibration}: {radar_name}")
    intrinsic = camera_matrix(camera_data.get("K"))
    if intrinsic is None:
        raise DataError(
            f"{calibration}: {camera_name}: expected K as a camera matrix (3, 3), got {camera_data.get('K')!r:.200}"
        )
    table = _radar(folder / radar_name / f"{number}.txt")
    speed = _speed(folder / "canbus" / f"{number}.json")
    places = radar.apply(table[:, :3])
    return Snapshot(
        name=number,
        path=str(pictures[0]),
        intrinsic=intrinsic,
        camera=camera,
        points=_points(table, radar, camera, speed),
        boxes=tuple(_boxes(folder / "groundtruth_obj3d" / f"{number}.json", places)),
        speed=speed,
    )


def _points(table: np.ndarray, radar: Pose, camera: Pose, speed: float) -> np.ndarray:
    """Return float32 (N, 8) in the camera's frame; an unknown speed of the car counts as 0."""
    rays = radar.rotate(table[:, :3] / np.linalg.norm(table[:, :3], axis=1, keepdims=True))
    over_ground = rays[:, 0] * (speed if math.isfinite(speed) else 0.0) - table[:, 3]
    over_ground = (over_ground + WRAP / 2) % WRAP - WRAP / 2
    points = np.zeros((len(table), 8), np.float32)
    points[:, :3] = camera.inverse.apply(radar.apply(table[:, :3]))
    points[:, 3] = table[:, 4]
    points[:, 4:7] = camera.inverse.rotate(rays * over_ground[:, None])
    return points


def _sensors(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return {str(sensor["sensor_uid"]): dict(sensor["calib_data"]) for sensor in _json(path)["sensors"]}
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: expected sensors, each with sensor_uid and calib_data") from None


def _sensor(sensors: dict[str, dict[str, Any]], kind: str, path: Path) -> tuple[str, dict[str, Any]]:
    for name, data in sensors.items():
        if name.startswith(kind):
            # The name becomes part of a folder's path.
            if Path(name).name != name or "\0" in name or len(name) > LONGEST_NAME:
                raise DataError(f"{path}: sensor_uid: expected the name of a folder, got {name!r:.80}")
            return name, data
    raise DataError(f"{path}: no sensor whose sensor_uid starts with {kind!r}, got {', '.join(sensors) or 'none'}")


def _radar(path: Path) -> np.ndarray:
    """Return X, Y, Z (m), V_r (m/s), Mag (dB) as float64 (N, 5)."""
    rows: list[list[float]] = []
    lines = [(number, line) for number, line in enumerate(read_text(path).splitlines(), start=1) if line.strip()]
    for number, line in lines[:1]:
        if line.split() != COLUMNS:
            raise DataError(f"{path}:{number}: expected the columns {' '.join(COLUMNS)}, got {line[:80]!r}")
    for number, line in lines[1:]:
        try:
            rows.append([float(word) for word in line.split()])
        except ValueError:
            rows.append([])
        if len(rows[-1]) != len(COLUMNS) or not all(map(math.isfinite, rows[-1])) or not any(rows[-1][:3]):
            raise DataError(f"{path}:{number}: expected five finite numbers, away from 0 0 0, got {line[:80]!r}")
    if not rows:
        raise DataError(f"{path}: contains no radar point")
    return np.array(rows)


def _speed(path: Path) -> float:
    """Return the speed of the car in m/s, from GPS or else from the car; NaN where unknown."""
    if not path.is_file():
        return math.nan
    record = _json(path)
    for name in ("GPS_Speed_3D", "vehicle_speed"):
        value: Any = record.get(name) if isinstance(record, dict) else None
        # JSON's integers may be too large for a float.
        if type(value) in (int, float) and abs(value) < MOST_SPEED:
            return value / 3.6
    return math.nan


def _boxes(path: Path, points: np.ndarray) -> Iterator[Box]:
    content = _json(path)
    objects = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(objects, list) or not all(isinstance(record, dict) for record in objects):
        raise DataError(f"{path}: expected a list of objects under 'objects'")
    for number, record in enumerate(objects):
        try:
            length, width, height = (float(value) for value in record["dimension3d"])
            x, y, z = (float(value) for value in record["center3d"])
            pose = Pose((x, y, z), tuple(float(value) for value in record["orientation_quat"]))  # type: ignore[arg-type]
            if not (math.isfinite(length + width + height) and min(length, width, height) > 0):
                raise DataError(f"expected dimension3d above 0, got {record['dimension3d']}")
            inside = np.abs((points - pose.translation) @ quaternion_matrix(pose.rotation))
            yield Box(
                category=str(record["classname"]),
                name=CLASSES.get(str(record["classname"]), ""),
                centre=pose.translation,
                size=(width, length, height),
                rotation=pose.rotation,
                visibility=VISIBILITY.get(record.get("occlusion", -1), 0),
                radar_points=int((inside <= np.array([length, width, height]) / 2).all(axis=1).sum()),
                lidar_points=-1,
                token=f"{path.stem}-{number}",
            )
        except KeyError as error:
            raise DataError(f"{path}: object {number} has no {error}") from None
        except (DataError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{path}: object {number}: {error}") from None


def _json(path: Path) -> Any:
    try:
        return parse_json(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None
