"""Reads a nuScenes directory: tables, camera frames, radar sweeps, boxes (https://www.nuscenes.org/nuscenes#data-format).

A directory holds the tables in ``v1.0-*`` and the files that they name in ``samples`` and ``sweeps``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mmkeras.core.errors import DataError, nearest
from mmkeras.driving.drives.annotations import Annotations
from mmkeras.driving.drives.sample_data import Frame, SampleData, Scene, read_scenes
from mmkeras.driving.drives.snapshot import Box
from mmkeras.driving.drives.tables import Table
from mmkeras.driving.drives.times import usable
from mmkeras.media.points.radar_cloud import NUSCENES_FILTER, RadarFilter, SweepFile, SweepFiles

__all__ = ["Frame", "NuScenes", "Scene", "find_tables"]

RADARS = {
    "CAM_FRONT": ("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT"),
    "CAM_FRONT_LEFT": ("RADAR_FRONT", "RADAR_FRONT_LEFT"),
    "CAM_FRONT_RIGHT": ("RADAR_FRONT", "RADAR_FRONT_RIGHT"),
    "CAM_BACK": ("RADAR_BACK_LEFT", "RADAR_BACK_RIGHT"),
    "CAM_BACK_LEFT": ("RADAR_FRONT_LEFT", "RADAR_BACK_LEFT"),
    "CAM_BACK_RIGHT": ("RADAR_FRONT_RIGHT", "RADAR_BACK_RIGHT"),
}
"""Radars of the nuScenes cars whose field of view overlaps a camera's."""


class NuScenes:
    """A directory in nuScenes' format."""

    def __init__(self, folder: str | Path, version: str = "") -> None:
        """Index the tables. For v1.0-trainval that takes about a minute.

        Args:
            folder: the directory.
            version: name of the folder with the tables, such as ``v1.0-mini``; found when there is only one.

        Raises:
            DataError: no tables, several versions to choose from, or tables that do not fit together.
        """
        self.folder = Path(folder)
        self.tables = find_tables(self.folder, version)
        """Folder of the tables."""
        scenes = Table(self.tables / "scene.json")
        self.scenes = read_scenes(scenes)
        """In the order of the table."""
        self._samples = Table(self.tables / "sample.json", {"scene_token": "S", "timestamp": "i8"})
        self._samples.link("scene_token", scenes)
        self._data = SampleData(self.folder, self.tables, self._samples, len(self.scenes))

    @property
    def radars(self) -> tuple[str, ...]:
        """Channels of the radars, sorted."""
        return tuple(sorted(name for name, kind in self._data.channels.items() if kind == "radar"))

    def radars_for(self, camera: str) -> tuple[str, ...]:
        """Return the radars whose view overlaps a camera's; all radars for a camera that is not in nuScenes."""
        return tuple(name for name in RADARS.get(camera, self.radars) if name in self.radars)

    def scene(self, scene: Scene | str) -> Scene:
        """Return a scene by its name or token."""
        if isinstance(scene, Scene):
            return scene
        for found in self.scenes:
            if scene in (found.name, found.token):
                return found
        hint = nearest(scene, [found.name for found in self.scenes][:1000])
        raise DataError(f"{self.tables / 'scene.json'}: no scene {scene!r}; {hint[:300]}")

    def samples(self, scene: Scene | str) -> list[str]:
        """Return the tokens of a scene's samples (annotated moments) in the order of time."""
        numbers = np.flatnonzero(self._samples.columns["scene_token"] == self.scene(scene).number)
        order = np.argsort(self._samples.columns["timestamp"][numbers], kind="stable")
        return [self._samples.token(number) for number in numbers[order]]

    def frame(self, sample: str, camera: str = "CAM_FRONT") -> Frame:
        """Return the key frame of a camera for a sample."""
        number = self._samples.number(sample)
        found = self._data.key(int(self._samples.columns["scene_token"][number]), camera, number)
        if not len(found):
            raise DataError(f"{self._data.table.path}: the sample {sample!r} has no key frame of {camera}")
        return self._frame(int(found[0]), camera)

    def frames(self, scene: Scene | str, camera: str = "CAM_FRONT") -> Iterator[Frame]:
        """Yield every frame of a camera in a scene in the order of time, between samples as well."""
        for row in self._data.series(self.scene(scene).number, camera):
            yield self._frame(int(row), camera)

    def sweeps_of(self, scene: Scene | str, channel: str) -> Iterator[SweepFile]:
        """Yield every sweep of a radar in a scene in the order of time."""
        for row in self._data.series(self.scene(scene).number, channel):
            record, timestamp = self._data.table.row(row), int(self._data.timestamps[row])
            sensor, ego = self._data.sensor(row), self._data.ego(row)
            yield SweepFile(self._data.path(record), timestamp, sensor, ego, channel, record["token"])

    def recipe(
        self,
        frame: Frame,
        radars: Sequence[str] = (),
        count: int = 6,
        filter: RadarFilter = NUSCENES_FILTER,
        allow_empty: bool = False,
        limits: tuple[int, int] | None = None,
    ) -> SweepFiles:
        """Return the sweeps from which the radar points of a frame are made: each radar's last ones up to its time.

        Where a radar has no sweep before the frame, as at the beginning of a scene, the sweep of the frame's sample is
        taken, which is some milliseconds younger than the frame.

        Args:
            frame: from this reader.
            radars: channels; `radars_for` the camera when empty.
            count: sweeps of each radar.
            filter: clusters that are kept.
            allow_empty: whether a frame without radar points is valid.
            limits: microseconds by which a radar's newest sweep may differ from the frame, and by which other sweeps
                may be older. A radar without a sweep within them counts as too old and is left out.

        Raises:
            DataError: an unknown channel, or no radar at all.
        """
        radars = tuple(radars) or self.radars_for(frame.channel)
        if not radars:
            raise DataError(f"{self.tables}: no radar for {frame.channel}")
        rows: list[int] = []
        too_old = 0
        for channel in radars:
            past = self._data.past(frame.scene.number, channel, frame.timestamp, count)
            if not len(past):
                past = self._data.key(frame.scene.number, channel, self._samples.number(frame.sample))
            kept = past if limits is None else past[usable(self._data.timestamps[past], frame.timestamp, *limits)]
            too_old += len(kept) == 0 < len(past)
            rows += kept.tolist()
        if not rows and not too_old:
            raise DataError(f"{self._data.table.path}: no sweep of {', '.join(radars)} up to frame {frame.token!r}")
        return SweepFiles(
            paths=tuple(self._data.path(self._data.table.row(row)) for row in rows),
            timestamps=tuple(self._data.timestamps[rows].tolist()),
            sensors=tuple(map(self._data.sensor, rows)),
            egos=np.array(list(map(self._data.ego_numbers, rows))).reshape(-1, 7),
            camera=frame.camera,
            ego=frame.ego,
            timestamp=frame.timestamp,
            filter=filter,
            allow_empty=allow_empty,
            too_old=too_old,
        )

    def boxes(self, sample: str, camera: str = "CAM_FRONT") -> list[Box]:
        """Return all annotated boxes of a sample in the ego frame at the time of a camera's key frame."""
        return self._annotations.boxes(self._samples.number(sample), self.frame(sample, camera).ego)

    @functools.cached_property
    def _annotations(self) -> Annotations:
        return Annotations(self.tables, self._samples)

    def _frame(self, row: int, camera: str) -> Frame:
        record, columns = self._data.table.row(row), self._data.table.columns
        sample = int(columns["sample_token"][row])
        return Frame(
            token=record["token"],
            timestamp=int(columns["timestamp"][row]),
            path=self._data.path(record),
            intrinsic=self._data.intrinsic(row),
            camera=self._data.sensor(row),
            ego=self._data.ego(row),
            channel=camera,
            sample=self._samples.token(sample),
            scene=self.scenes[int(self._samples.columns["scene_token"][sample])],
        )


def find_tables(folder: Path, version: str = "") -> Path:
    """Return the folder of the tables in a nuScenes directory; ``version`` may be empty where there is only one.

    Raises:
        DataError: no tables, or several versions to choose from.
    """
    if version:
        if not (folder / version / "sample.json").is_file():
            raise DataError(f"{folder / version}: no nuScenes tables (sample.json) there")
        return folder / version
    found = sorted(path.parent for path in folder.glob("v*/sample.json"))
    if len(found) != 1:
        got = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{folder}: expected one folder of nuScenes tables such as v1.0-mini, got {got}. "
            "Name the directory above it, and the version if there are several"
        )
    return found[0]
