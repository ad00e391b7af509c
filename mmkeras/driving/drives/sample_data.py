"""The recorded files of a nuScenes directory: their paths, times, calibrations and ego poses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError, nearest
from mmkeras.driving.drives.snapshot import camera_matrix, numbers, pose_in
from mmkeras.driving.drives.tables import Table
from mmkeras.driving.drives.times import check_unit
from mmkeras.media.geometry import Pose

__all__ = ["Frame", "SampleData", "Scene", "read_scenes"]


class SampleData:
    """Row numbers of ``sample_data.json`` by scene, channel and time, with calibration and ego poses."""

    def __init__(self, folder: Path, tables: Path, samples: Table, scenes: int) -> None:
        """Index the tables.

        Raises:
            DataError: a table cannot be read, names a sample, sensor or calibration that is not there, or has times in
                another unit than microseconds.
        """
        self._folder = folder
        sensors = Table(tables / "sensor.json", {"channel": "S"})
        rows = list(sensors.rows())
        self.channels = {row["channel"]: str(row.get("modality", "")) for row in rows}
        """``camera``, ``radar`` or ``lidar`` by channel."""
        self._names = sorted(self.channels)
        self._sensors = sensors.path
        self._calibrations = Table(tables / "calibrated_sensor.json", {"sensor_token": "S"})
        channel = np.array([self._names.index(row["channel"]) for row in rows], np.int64)
        channel = channel[self._calibrations.link("sensor_token", sensors)]
        self._poses: dict[int, Pose] = {}
        links = dict.fromkeys(("sample_token", "ego_pose_token", "calibrated_sensor_token"), "S")
        self.table = Table(tables / "sample_data.json", {**links, "timestamp": "i8", "is_key_frame": "?"})
        sample = self.table.link("sample_token", samples)
        calibration = self.table.link("calibrated_sensor_token", self._calibrations)
        self._egos = Table(tables / "ego_pose.json")
        # A missing pose is reported only when a frame or sweep is read that needs it.
        self.table.link("ego_pose_token", self._egos, optional=True)
        self._egos.forget("token")
        scene = samples.columns["scene_token"][sample].astype(np.int64)
        series = scene * len(self._names) + channel[calibration]
        self._order = np.lexsort((self.timestamps, series)).astype(np.int32)
        self._starts = np.searchsorted(series[self._order], np.arange(scenes * len(self._names) + 1))
        self._check_units(series[self._order])

    @property
    def timestamps(self) -> np.ndarray:
        """Microseconds of each row."""
        return self.table.columns["timestamp"]

    def series(self, scene: int, channel: str) -> np.ndarray:
        """Return the rows of one channel in one scene in the order of time."""
        if channel not in self.channels:
            raise DataError(f"{self._sensors}: no channel {channel!r}; {nearest(channel, self._names)}")
        place = scene * len(self._names) + self._names.index(channel)
        return self._order[self._starts[place] : self._starts[place + 1]]

    def past(self, scene: int, channel: str, before: int, count: int) -> np.ndarray:
        """Return the last rows of a channel up to a time in microseconds, newest first."""
        rows = self.series(scene, channel)
        end = int(np.searchsorted(self.timestamps[rows], before, side="right"))
        return rows[max(end - count, 0) : end][::-1]

    def key(self, scene: int, channel: str, sample: int) -> np.ndarray:
        """Return the row of a channel's key frame of a sample, (1,); (0,) where it is missing."""
        rows = self.series(scene, channel)
        columns = self.table.columns
        return rows[(columns["sample_token"][rows] == sample) & columns["is_key_frame"][rows]][:1]

    def path(self, record: dict[str, Any]) -> str:
        """Return the path of a record's file."""
        if not isinstance(record.get("filename"), str) or not record["filename"]:
            raise DataError(f"{self.table.path}: record {record['token']!r}: no filename")
        return str(self._folder / record["filename"])

    def sensor(self, row: int) -> Pose:
        """Return sensor -> ego."""
        number = int(self.table.columns["calibrated_sensor_token"][row])
        if number not in self._poses:
            self._poses[number] = _pose(self._calibrations.row(number), self._calibrations.path)
        return self._poses[number]

    def intrinsic(self, row: int) -> np.ndarray:
        """Return the camera matrix (3, 3)."""
        record = self._calibrations.row(int(self.table.columns["calibrated_sensor_token"][row]))
        matrix = camera_matrix(record.get("camera_intrinsic"))
        if matrix is None:
            raise DataError(
                f"{self._calibrations.path}: record {record['token']!r}: expected camera_intrinsic as a camera matrix "
                f"(3, 3), got {record.get('camera_intrinsic')}"
            )
        return matrix

    def ego(self, row: int) -> Pose:
        """Return ego -> global at the time of the row."""
        return _pose(self._ego_record(row), self._egos.path)

    def ego_numbers(self, row: int) -> list[float]:
        """Return the ego pose as seven numbers: translation, then quaternion (w, x, y, z)."""
        with _named(record := self._ego_record(row), self._egos.path):
            return [*numbers(record, "translation", 3), *numbers(record, "rotation", 4)]

    def _ego_record(self, row: int) -> dict[str, Any]:
        number = int(self.table.columns["ego_pose_token"][row])
        if number < 0:
            record = self.table.row(row)
            raise DataError(
                f"{self.table.path}: record {record['token']!r}: the ego pose {record['ego_pose_token']!r} is not in "
                f"{self._egos.path.name}"
            )
        return self._egos.row(number)

    def _check_units(self, series: np.ndarray) -> None:
        """Check the steps of every camera and radar; ``series`` belongs to the rows in the order of time."""
        steps = np.diff(self.timestamps[self._order].astype(np.int64))
        same = np.diff(series) == 0
        for number, name in enumerate(self._names):
            if self.channels[name] in ("camera", "radar"):
                check_unit(steps[same & (series[1:] % len(self._names) == number)], name, self.table.path)


@contextlib.contextmanager
def _named(record: dict[str, Any], path: Path) -> Iterator[None]:
    """Add the file and the token to a `DataError` about a record."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: record {record.get('token')!r}: {error}") from None


def _pose(record: dict[str, Any], path: Path) -> Pose:
    with _named(record, path):
        return pose_in(record)


@dataclass(frozen=True)
class Scene:
    """About twenty seconds of one drive."""

    token: str
    name: str
    """For example ``scene-0061``."""
    description: str
    """Free text; nuScenes names night and rain here."""
    number: int


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a camera, not read yet."""

    token: str
    """Of the record in ``sample_data.json``."""
    timestamp: int
    path: str
    intrinsic: np.ndarray
    """Camera matrix (3, 3) in pixels."""
    camera: Pose
    """Camera -> ego."""
    ego: Pose
    """Ego -> global at the time of the frame."""
    channel: str
    """For example ``CAM_FRONT``."""
    sample: str
    """Token of its sample; a frame between two samples belongs to the later one."""
    scene: Scene


def read_scenes(table: Table) -> tuple[Scene, ...]:
    """Return the scenes in the order of the table ``scene``."""
    scenes: dict[str, Scene] = {}
    for number, row in enumerate(table.rows()):
        name = row.get("name")
        if not isinstance(name, str) or not name or name in scenes:
            raise DataError(f"{table.path}: record {row['token']!r}: expected a unique name, got {name!r}")
        scenes[name] = Scene(row["token"], name, str(row.get("description") or ""), number)
    return tuple(scenes.values())
