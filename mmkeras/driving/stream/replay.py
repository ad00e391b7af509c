"""Sends a recorded drive in nuScenes' format to a stream, in the order and at the times of the sensors."""

from __future__ import annotations

import functools
import itertools
import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.driving.drives import nuscenes
from mmkeras.driving.stream.clock import Clock
from mmkeras.driving.stream.injection import Arrival
from mmkeras.driving.stream.messages import Answer, Frame, Message
from mmkeras.driving.stream.stream import SensorStream
from mmkeras.media.points.radar_cloud import RadarFilter, Sweep, SweepFile

__all__ = ["Recording", "play"]


@dataclass(frozen=True)
class Recording:
    """One scene's frames of a camera and sweeps of its radars; the files are not read yet."""

    scene: str
    camera: str
    radars: tuple[str, ...]
    frames: tuple[nuscenes.Frame, ...]
    """In the order of time."""
    sweeps: tuple[SweepFile, ...]
    """Of all the radars, in the order of time."""
    camera_latency: int = 30_000
    """Microseconds from taking a picture to its arrival."""
    radar_latency: int = 15_000
    """Microseconds from a scan to its arrival."""
    filter: RadarFilter = field(default_factory=RadarFilter)

    @classmethod
    def open(cls, folder: str | Path, scene: str = "", camera: str = "CAM_FRONT", limit: float = 0.0) -> Recording:
        """Open a directory in nuScenes' format; ``limit`` is the number of seconds to play, the whole scene when 0.

        The default scene is the first held-out scene in a ``splits.json`` beside the tables, or the first of all.

        Raises:
            DataError: the directory cannot be read, or the scene has no frame of the camera.
        """
        drive = nuscenes.NuScenes(folder)
        name = scene or _held_out(drive)
        radars = drive.radars_for(camera)
        frames = list(drive.frames(name, camera))
        if not frames:
            raise DataError(f"{folder}: the scene {name} has no frame of {camera}")
        sweeps = sorted((s for radar in radars for s in drive.sweeps_of(name, radar)), key=lambda s: s.timestamp)
        if limit:
            end = min([frames[0].timestamp, *(s.timestamp for s in sweeps[:1])]) + round(limit * 1e6)
            frames = [frame for frame in frames if frame.timestamp < end]
            sweeps = [sweep for sweep in sweeps if sweep.timestamp < end]
        return cls(drive.scene(name).name, camera, radars, tuple(frames), tuple(sweeps))

    @property
    def start(self) -> int:
        """When the first message arrives, on a stream's clock that equals the sensors' clock."""
        return self._listed[0][0]

    @property
    def end(self) -> int:
        """When the last message arrives."""
        return self._listed[-1][0]

    @property
    def frame_period(self) -> int:
        """Median time between frames in microseconds; that of 12 Hz for a single frame."""
        times = [frame.timestamp for frame in self.frames]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        return max(int(statistics.median(gaps)), 1) if gaps else 83_333

    def arrivals(self) -> Iterator[Arrival]:
        """Read the files and yield the messages in the order of their arrival.

        An unreadable file becomes an unusable message, as in a vehicle.
        """
        return (Arrival(moment, self._read(item)) for moment, _, item in self._listed)

    @functools.cached_property
    def _listed(self) -> list[tuple[int, int, nuscenes.Frame | SweepFile]]:
        """The files with the moments of their arrival, in this order; sweeps come before a frame of the same moment."""
        listed: list[tuple[int, int, nuscenes.Frame | SweepFile]]
        listed = [(f.timestamp + self.camera_latency, 1, f) for f in self.frames]
        listed += [(s.timestamp + self.radar_latency, 0, s) for s in self.sweeps]
        return sorted(listed, key=lambda entry: entry[:2])

    def _read(self, item: nuscenes.Frame | SweepFile) -> Message:
        if isinstance(item, SweepFile):
            try:
                return item.read(self.filter)
            except DataError:
                empty = np.empty((0, 0), np.float32)
                return Sweep(empty, item.timestamp, item.sensor, item.ego, item.channel, item.path)
        try:
            image = Path(item.path).read_bytes()
        except OSError:
            image = b""
        return Frame(image, item.timestamp, item.intrinsic, item.camera, item.ego, item.channel)


def play(stream: SensorStream, arrivals: Iterable[Arrival], clock: Clock, end: int) -> Iterator[Answer]:
    """Push messages when they arrive, poll when something is due, and yield the answers.

    Args:
        stream: receives the messages; its clock is ``clock``.
        arrivals: in the order of their moments; a list in memory keeps the disk out of the measurement.
        clock: is waited on.
        end: moment after which no more ticks are answered.
    """
    stream.finish(end)
    source = iter(arrivals)
    pending = next(source, None)
    while True:
        while pending is not None and pending.moment <= clock.now():
            stream.push(pending.message, pending.moment)
            pending = next(source, None)
        due = stream.next_due()
        if due is not None and due <= clock.now():
            yield from stream.poll()
            continue
        if pending is None and due is None:
            return
        moments = [due] if due is not None else []
        moments += [pending.moment] if pending is not None else []
        clock.wait_until(min(moments))


def _held_out(drive: nuscenes.NuScenes) -> str:
    names = [scene.name for scene in drive.scenes]
    if not names:
        raise DataError(f"{drive.tables / 'scene.json'}: no scenes")
    path = drive.tables / "splits.json"
    if path.is_file():
        try:
            splits = json.loads(path.read_text(encoding="utf-8-sig"))
            held_out = [*splits.get("test", []), *splits.get("validation", [])]
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            raise ConfigError(f"{path}: expected lists of scene names by split: {error}") from error
        return next((name for name in held_out if name in names), names[0])
    return names[0]
