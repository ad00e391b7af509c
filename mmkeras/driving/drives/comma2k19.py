"""comma2k19: one-minute segments with a production car's radar tracks (https://github.com/commaai/comma2k19, MIT).

A segment has the first picture of its video (``preview.png``) and numpy arrays without suffix: radar tracks, speed and
frame times, side by side or under ``processed_log/CAN`` and ``global_pos`` as upstream ships them. Only the first frame
is read: the others need a video decoder.

The ego frame here lies on the road below the camera: x forward, y left, z up. The mountings of camera and radar are not
in the files but in the constants below.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.driving.drives.snapshot import Snapshot, camera_matrix, read_text
from mmkeras.media.geometry import Pose
from mmkeras.storage.numpy_files import read_npy

__all__ = ["camera_pose", "is_comma2k19", "snapshots"]

INTRINSIC = ((910.0, 0.0, 582.0), (0.0, 910.0, 437.0), (0.0, 0.0, 1.0))
"""Of the EON's camera, used where a segment has no camera_intrinsics.txt."""
VANISHING_POINT = (594.0, 393.0)
"""Pixel where the road meets the horizon: from the first frame of the example segment, where it places the tracks of
the three nearest cars on their rears."""
CAMERA_HEIGHT = 1.22
"""Metres above the road; openpilot's value for the EON."""
RADAR_AHEAD = 1.52
"""Metres from the camera forward to the radar in the bumper; openpilot's value."""
TRACK_HEIGHT = 0.5
"""Metres above the road at which tracks are drawn: the radar measures no elevation."""
CYCLE = 0.01
"""Seconds of silence that separate one cycle of the radar (20 a second) from the next."""


def is_comma2k19(folder: Path) -> bool:
    """Return whether a directory looks like a segment of comma2k19."""
    return (folder / "preview.png").is_file() and _find(folder, "radar") is not None


def snapshots(folder: Path) -> Iterator[Snapshot]:
    """Yield the first frame of a segment.

    Its points are the tracks of one radar cycle: the last one before the frame or, where the radar begins later, the
    first. Of a track's velocity only the part along the road is known. There is no RCS: it is 0.
    """
    times, tracks = _log(folder, "radar", 7)
    when = _first_frame(folder)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(times) > CYCLE) + 1, [len(times)]])
    cycle = max(int(np.searchsorted(times[starts[:-1]], when, side="right")) - 1, 0)
    rows = slice(int(starts[cycle]), int(starts[cycle + 1]))
    speed = _speed(folder, when)
    intrinsic = _intrinsic(folder / "camera_intrinsics.txt")
    camera = camera_pose(intrinsic, VANISHING_POINT)
    yield Snapshot(
        name=folder.name,
        path=str(folder / "preview.png"),
        intrinsic=intrinsic,
        camera=camera,
        points=_points(tracks[rows], times[rows] - when, camera, speed),
        speed=speed,
    )


def camera_pose(intrinsic: np.ndarray, vanishing_point: tuple[float, float]) -> Pose:
    """Return camera -> ego of a camera without roll, from the pixel where the road meets the horizon."""
    ray = np.linalg.solve(intrinsic, np.array([*vanishing_point, 1.0]))
    forward = ray / np.linalg.norm(ray)
    # No roll: the ego's left is as parallel to the picture's rows as forward allows.
    left = np.array([-forward[2], 0.0, forward[0]]) / math.hypot(forward[2], forward[0])
    rotation = np.stack([forward, left, np.cross(forward, left)])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[2, 3] = CAMERA_HEIGHT
    return Pose.from_matrix(matrix)


def _points(tracks: np.ndarray, late: np.ndarray, camera: Pose, speed: float) -> np.ndarray:
    """Return float32 (N, 8) in the camera's frame; an unknown speed of the car counts as 0."""
    ahead = tracks[:, 0] + RADAR_AHEAD
    places = np.stack([ahead, tracks[:, 1], np.full(len(tracks), TRACK_HEIGHT)], axis=1)
    velocities = np.zeros((len(tracks), 3))
    velocities[:, 0] = tracks[:, 2] + (speed if math.isfinite(speed) else 0.0)
    points = np.zeros((len(tracks), 8), np.float32)
    points[:, :3] = camera.inverse.apply(places)
    points[:, 4:7] = camera.inverse.rotate(velocities)
    points[:, 7] = -late
    return points


def _first_frame(folder: Path) -> float:
    """Return the time of the first frame in seconds."""
    places = [folder / name / "frame_times" for name in ("pose", "global_pos")]
    path = next(filter(Path.is_file, places), places[0])
    times = _array(path)
    if times.ndim != 1 or not len(times) or not np.isfinite(times[0]):
        raise DataError(f"{path}: expected times (N,) that begin with a finite number, got {times.shape}")
    return float(times[0])


def _speed(folder: Path, when: float) -> float:
    """Return the speed at a time in m/s; NaN without a log of speeds."""
    name = next((name for name in ("speed", "car_speed") if _find(folder, name)), None)
    if name is None:
        return math.nan
    times, values = _log(folder, name, 1)
    return float(np.interp(when, times, values[:, 0]))


def _find(folder: Path, log: str) -> Path | None:
    """Return the folder of a log; None where the segment lacks it."""
    for place in (folder / log, folder / "processed_log" / "CAN" / log):
        if (place / "value").is_file():
            return place
    return None


def _log(folder: Path, name: str, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times (N,) in seconds and values (N, columns)."""
    place = _find(folder, name)
    if place is None:
        raise DataError(f"{folder / name / 'value'}: no such file. Expected a segment of comma2k19")
    times, values = _array(place / "t"), _array(place / "value")
    if values.ndim == 1:
        values = values[:, None]
    if times.ndim != 1 or values.shape != (len(times), columns) or not len(times):
        raise DataError(f"{place}: expected t (N,) and value (N, {columns}), got {times.shape} and {values.shape}")
    # The radar's unused columns are NaN by design.
    used = values[:, :3]
    wrong = np.flatnonzero(~(np.isfinite(times) & np.isfinite(used).all(axis=1)))
    if len(wrong):
        raise DataError(f"{place}: row {wrong[0]} holds NaN or infinity: {times[wrong[0]]}, {used[wrong[0]].tolist()}")
    return times, values


def _array(path: Path) -> np.ndarray:
    try:
        return np.asarray(read_npy(path), np.float64)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: not a numpy array of numbers: {error}") from None


def _intrinsic(path: Path) -> np.ndarray:
    if not path.is_file():
        return np.array(INTRINSIC)
    try:
        matrix = camera_matrix(ast.literal_eval(read_text(path).strip()))
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError):  # the last two: nested brackets
        matrix = None
    if matrix is None or matrix[2, 2] <= 0:
        raise DataError(f"{path}: expected a camera matrix as [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
    return matrix
