"""Camera and radar of a nuScenes directory, recorded or simulated, with the annotated boxes as target."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, DataError, nearest
from mmkeras.data.sources._contract import SPLITS, Sample, SourceBase
from mmkeras.driving.drives.nuscenes import NuScenes, Scene, find_tables
from mmkeras.driving.drives.official_splits import official_split
from mmkeras.driving.drives.times import MAX_AGE, MAX_SKEW
from mmkeras.media.geometry import PinholeCamera
from mmkeras.media.image.pixels import Window
from mmkeras.media.points.radar_cloud import NUSCENES_FILTER, RadarFilter
from mmkeras.modalities import ModalitySpec, camera_of
from mmkeras.modalities.radar.spec import Spec as RadarSpec
from mmkeras.storage.hashes import digest

__all__ = ["Source", "describe_scene"]

SPLIT_FILE = "splits.json"
SWEEPS = 6
"""Sweeps of each radar where neither the options nor a modality sets them."""
TABLES = (
    *("attribute", "calibrated_sensor", "category", "ego_pose", "instance", "sample", "sample_annotation"),
    *("sample_data", "scene", "sensor", "visibility"),
)
OLD = "a radar's newest sweep is older than max_skew: this radar is left out"
OLD_ALL = "the newest sweep of every radar is older than max_skew: the radar is absent"
RACK = "static_object.bicycle_rack"


@dataclass(frozen=True)
class Source(SourceBase):
    """Every annotated sample of a nuScenes directory: one camera, its radars, the boxes around the car.

    The camera's value is a `Window` of the picture, the radar's a `SweepFiles`; their files are read during the
    conversion. The target is ``{"boxes": list of Box in the ego frame, "camera": Pose camera -> ego}``; boxes behind
    the camera are left out. Samples of one scene are always in one split.

    Splits come from a file ``splits.json`` beside the tables, ``{"train": [names of scenes], "validation": [...],
    "test": [...]}``, or else from nuScenes' own lists. Other scenes are assigned by the shares.
    """

    reads: ClassVar[tuple[str, ...]] = ("folder",)

    folder: str
    """The directory: tables in ``v1.0-*``, files in ``samples`` and ``sweeps``."""
    version: str = ""
    """Folder of the tables; not needed when there is only one."""
    camera: str = "CAM_FRONT"
    """Channel of the camera."""
    radars: tuple[str, ...] = ()
    """Channels of the radars; when empty, those that cover the camera's view."""
    sweeps: int | None = None
    """Sweeps of each radar, up to the time of the frame; when not given, as many as the radar's modality takes."""
    max_skew: int = MAX_SKEW
    """Most microseconds between the frame and a radar's newest sweep; beyond it the radar counts as absent."""
    max_age: int = MAX_AGE
    """Microseconds by which a sweep may be older than the frame; older sweeps are left out, as in a stream."""
    model_camera: tuple[float, ...] = ()
    """The camera that pictures are cropped and scaled to: width, height, focal length and centre in pixels; that of the
    camera's modality when empty."""
    valid_only: bool = True
    """Leave out clusters that the radar marks as invalid."""
    known_dynamics_only: bool = True
    """Leave out clusters in the dynamic state "stopped", as nuscenes-devkit does."""
    unambiguous_only: bool = True
    """Leave out clusters whose velocity is ambiguous."""
    empty_cloud: Literal["quarantine", "keep"] = "quarantine"
    """Whether a sample without any radar point is a bad row, or has an empty point cloud."""
    official_val: Literal["test", "validation"] = "test"
    """The split that nuScenes' val becomes. If it is test, validation is taken from the training scenes."""
    camera_name: str = "camera"
    """Name of the camera's modality."""
    radar_name: str = "radar"
    """Name of the radar's modality."""

    def __post_init__(self) -> None:
        """Check the options, with a `ConfigError` for a wrong one."""
        if self.sweeps is not None and self.sweeps < 1:
            raise ConfigError(f"nuscenes: sweeps: expected at least 1, got {self.sweeps}")
        if not 1000 <= self.max_skew <= self.max_age:
            raise ConfigError(
                f"nuscenes: max_skew, max_age: expected microseconds, at least 1000, the first not above the second; "
                f"got {self.max_skew} and {self.max_age}"
            )
        for option, words in (("empty_cloud", ("keep", "quarantine")), ("official_val", ("test", "validation"))):
            if getattr(self, option) not in words:
                raise ConfigError(f"nuscenes: {option}: {nearest(str(getattr(self, option)), words)}")
        if self.model_camera and (len(self.model_camera) != 5 or min(self.model_camera[:3]) <= 0):
            raise ConfigError(
                f"nuscenes: model_camera: expected width, height, focal, centre_x, centre_y, got {self.model_camera}"
            )
        if self.camera_name == self.radar_name:
            raise ConfigError(f"nuscenes: camera_name and radar_name are both {self.camera_name!r}")

    def derived(self, modalities: Mapping[str, ModalitySpec]) -> Source:
        """Return the source with the camera of the model's modalities, and the sweeps of its radar.

        Raises:
            ConfigError: ``model_camera`` or ``sweeps`` contradicts them, or no modality has a camera.
        """
        camera = camera_of(modalities, tuple(self.model_camera), "data.source.options.model_camera")
        radar = modalities.get(self.radar_name)
        taken = radar.sweeps if isinstance(radar, RadarSpec) else None
        if taken is not None and self.sweeps not in (None, taken):
            raise ConfigError(
                f"data.source.options.sweeps: expected {taken}, as many as model.{self.radar_name}.sweeps, got "
                f"{self.sweeps}. Leave it out and set model.{self.radar_name}.sweeps = {self.sweeps}"
            )
        return replace(self, model_camera=camera, sweeps=self.sweeps if taken is None else taken)

    def samples(self) -> Iterator[Sample]:
        """Yield the samples scene by scene in the order of time; the target of a bad one is a `DataError`."""
        if not self.model_camera:
            raise ConfigError("nuscenes: model_camera: expected width, height, focal, centre_x, centre_y, got none")
        drive = NuScenes(self.folder, self.version)
        splits = self._splits(drive)
        for scene in drive.scenes:
            for token in drive.samples(scene):
                origin = f"{drive.tables.name}/sample.json:{token}"
                try:
                    yield self._sample(drive, scene, token, splits.get(scene.name), origin)
                except DataError as error:
                    yield Sample(key=token, values={}, target=error, group=scene.name, origin=origin)

    def fingerprint_inputs(self) -> dict[str, str]:
        """Return hashes of the tables, and of names, sizes and times of the files in each channel's folders."""
        folder = Path(self.folder)
        tables = find_tables(folder, self.version)
        result = {}
        for name in (*(f"{table}.json" for table in TABLES), SPLIT_FILE):
            if (tables / name).is_file():
                result[f"{tables.name}/{name}"] = digest(tables, name)
        for channel in sorted(path.name for path in (folder / "samples").glob("*") if self._uses(path.name)):
            files = [path for part in ("samples", "sweeps") for path in (folder / part / channel).glob("*")]
            states = ((path, path.stat()) for path in sorted(files))
            listing = [(path.name, state.st_size, state.st_mtime_ns) for path, state in states]
            result[f"{channel} files"] = hashlib.sha256(repr(listing).encode()).hexdigest()
        return result

    @property
    def filter(self) -> RadarFilter:
        """The clusters that are kept."""
        return RadarFilter(
            NUSCENES_FILTER.invalid_states if self.valid_only else None,
            NUSCENES_FILTER.dyn_props if self.known_dynamics_only else None,
            NUSCENES_FILTER.ambig_states if self.unambiguous_only else None,
        )

    def _uses(self, channel: str) -> bool:
        return channel == self.camera or (channel in self.radars if self.radars else channel.startswith("RADAR"))

    def _sample(self, drive: NuScenes, scene: Scene, token: str, split: str | None, origin: str) -> Sample:
        frame = drive.frame(token, self.camera)
        camera = PinholeCamera(*self.model_camera)
        sweeps = SWEEPS if self.sweeps is None else self.sweeps
        window = Window(frame.path, camera.window(frame.intrinsic), (round(camera.height), round(camera.width)))
        limits, keep = (self.max_skew, self.max_age), self.empty_cloud == "keep"
        radar = drive.recipe(frame, self.radars, sweeps, self.filter, allow_empty=keep, limits=limits)
        to_camera = frame.camera.inverse
        boxes = [
            box
            for box in drive.boxes(token, self.camera)
            if box.category == RACK or to_camera.apply(np.array([box.centre]))[0, 2] > 0
        ]
        return Sample(
            key=token,
            values={self.camera_name: window, self.radar_name: radar if radar.paths else None},
            target={"boxes": boxes, "camera": frame.camera},
            split=split,
            group=scene.name,
            columns={"scene": scene.name, **describe_scene(scene.description)},
            origin=origin,
            remarks=() if not radar.too_old else (OLD if radar.paths else OLD_ALL,),
        )

    def _splits(self, drive: NuScenes) -> dict[str, str]:
        """Return the split of each scene that has one."""
        path = drive.tables / SPLIT_FILE
        if path.is_file():
            return _read_splits(path, {scene.name for scene in drive.scenes})
        own = {scene.name: official_split(drive.tables.name, scene.name) for scene in drive.scenes}
        return {name: self.official_val if split == "val" else split for name, split in own.items() if split}


def describe_scene(description: str) -> dict[str, str]:
    """Return the columns that follow from the words of a scene's description.

    >>> describe_scene("Night, after rain, parked train")
    {'time_of_day': 'night', 'weather': 'rain'}
    """
    words = set(re.findall(r"[a-z]+", description.lower()))
    time = "night" if "night" in words else "dusk" if words & {"dusk", "dawn", "twilight"} else "day"
    rain = {"rain", "rainy", "raining", "drizzle"}
    weather = "fog" if words & {"fog", "foggy", "mist"} else "rain" if words & rain else "clear"
    return {"time_of_day": time, "weather": weather}


def _read_splits(path: Path, scenes: set[str]) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(content, Mapping) or not all(isinstance(names, list) for names in content.values()):
        raise DataError(f'{path}: expected {{"train": [names of scenes], "validation": [...], "test": [...]}}')
    result: dict[str, str] = {}
    for split, names in content.items():
        if split not in SPLITS:
            raise DataError(f"{path}: {split!r} is not a split; {nearest(split, SPLITS)}")
        for name in names:
            if not isinstance(name, str) or name not in scenes:
                raise DataError(f"{path}: {split}: there is no scene {name!r:.80} in scene.json")
            if result.setdefault(name, split) != split:
                raise DataError(f"{path}: the scene {name!r} is in {result[name]} and in {split}")
    return result
