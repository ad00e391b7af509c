"""Takes messages in: checks their times, keeps sweeps and poses, and tracks which sensors are present."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.driving.stream.buffers import EgoTrack, SweepBuffer
from mmkeras.driving.stream.messages import CAMERA, Frame
from mmkeras.driving.stream.sensors import Sensor
from mmkeras.driving.stream.settings import Settings
from mmkeras.media.geometry import Pose
from mmkeras.media.points.radar_cloud import Sweep

__all__ = ["Intake", "TimeBase"]

PARTNER_PERIODS = 1.25
"""A frame still lacks a radar's sweep while the newest one is older than this many of its periods."""
_COLUMNS = 6
_WINDOW = 10_000_000
"""Microseconds after which the smallest delay is measured again, because the two clocks may drift apart."""
_CONFIRM = 3
_CONFIRM_TIME = 250_000


class Intake:
    """The state of all sensors at a moment. Not thread-safe: the stream uses locks.

    ``start`` is the stream's time; ``pose`` is camera -> ego until the first frame.
    """

    def __init__(self, settings: Settings, start: int, pose: Pose) -> None:
        self.settings = settings
        self.start = start
        self.time = TimeBase(settings.max_age)
        self.ego = EgoTrack(settings.max_age)
        self.camera = Sensor(CAMERA, settings.frame_period, settings.deadline, start)
        self.radars: dict[str, Sensor] = {}
        self.camera_pose = pose
        """Camera -> ego of the newest frame."""
        self.jumps = 0
        """Jumps of the sensors' clock."""
        self._buffers: dict[str, SweepBuffer] = {}
        self._camera_delay = 0

    @property
    def sensors(self) -> list[Sensor]:
        """The camera and every radar that has sent a message."""
        return [self.camera, *self.radars.values()]

    def take_sweep(self, sweep: Sweep, arrived: int) -> None:
        """Count a sweep, and keep it if it can be used."""
        sensor = self._radar(sweep.channel)
        buffer = self._buffers[sweep.channel]
        sensor.counts["received"] += 1
        try:
            sweep = self._cleaned(sweep, sensor)
        except DataError:
            return sensor.drop("broken", arrived)
        verdict = self.time.judge(sweep.timestamp, arrived)
        if verdict == "jump":
            self._restart()
        if verdict == "implausible":
            return sensor.drop("implausible_time", arrived)
        if sweep.timestamp in buffer:
            return sensor.drop("duplicate", arrived)
        if sensor.newest is not None and sweep.timestamp < sensor.newest:
            # It still serves as a past sweep.
            sensor.counts["out_of_order"] += 1
        sweep.to_global  # noqa: B018 - computed here, so that no answer waits for it
        buffer.add(sweep)
        self.ego.add(sweep.timestamp, sweep.ego)
        return sensor.accept(sweep.timestamp, arrived, self.time.delay(sweep.timestamp, arrived))

    def take_frame(self, frame: Frame, arrived: int) -> str:
        """Register a frame.

        Returns:
            Why its image cannot be used: ``duplicate``, ``order`` or ``time``; empty if it can.
        """
        camera = self.camera
        camera.counts["received"] += 1
        verdict = self.time.judge(frame.timestamp, arrived)
        if verdict == "jump":
            self._restart()
        if verdict == "implausible":
            camera.drop("implausible_time", arrived)
            return "time"
        if frame.timestamp == camera.newest:
            camera.drop("duplicate", arrived)
            return "duplicate"
        if camera.newest is not None and frame.timestamp < camera.newest:
            camera.learn(frame.timestamp)
            camera.drop("out_of_order", arrived)
            return "order"
        self._camera_delay = self.time.delay(frame.timestamp, arrived)
        camera.accept(frame.timestamp, arrived, self._camera_delay)
        self.ego.add(frame.timestamp, frame.ego)
        self.camera_pose = frame.camera
        return ""

    def update(self, now: int) -> None:
        """Update the sensors' states and remove sweeps that are too old."""
        for sensor in self.sensors:
            sensor.update(now)
        oldest = self.time.sensor_time(now) - self.settings.max_age
        for buffer in self._buffers.values():
            buffer.expire(oldest)

    def frame_time(self, arrived: int) -> int:
        """Return the timestamp of a frame that arrives at a moment with the delay of the last frame."""
        return self.time.sensor_time(arrived) - self._camera_delay

    def sweeps_for(self, timestamp: int) -> list[Sweep]:
        """Return the sweeps of every present or late radar for a frame, newest first within each radar."""
        s = self.settings
        found: list[Sweep] = []
        for name, sensor in self.radars.items():
            if sensor.state != "absent":
                found += self._buffers[name].partners(timestamp, s.max_skew, s.max_age, s.sweeps)
        return found

    def worth_waiting(self, timestamp: int, until: int) -> bool:
        """Return whether a radar that is not absent lacks a sweep for a frame and should send it before a moment."""
        for name, sensor in self.radars.items():
            if sensor.state == "absent" or sensor.expected is None or sensor.expected > until:
                continue
            newest = self._buffers[name].newest()
            if newest is None or timestamp - newest > PARTNER_PERIODS * sensor.period:
                return True
        return False

    def next_absence(self, now: int) -> int:
        """Return when the next silent radar counts as absent; a deadline from now if no radar does."""
        moments = [sensor.absent_at for sensor in self.radars.values() if sensor.absent_at is not None]
        return min((moment for moment in moments if moment > now), default=now + self.settings.deadline)

    def _radar(self, channel: str) -> Sensor:
        if channel not in self.radars:
            s = self.settings
            self.radars[channel] = Sensor(channel, s.sweep_period, s.deadline, self.start)
            self._buffers[channel] = SweepBuffer(2 * s.sweeps)
        return self.radars[channel]

    def _restart(self) -> None:
        self.jumps += 1
        self.ego.clear()
        for buffer in self._buffers.values():
            buffer.clear()
        for sensor in self.sensors:
            sensor.forget_times()

    def _cleaned(self, sweep: Sweep, sensor: Sensor) -> Sweep:
        cloud = np.asarray(sweep.cloud)
        if cloud.ndim != 2 or cloud.shape[1] != _COLUMNS or cloud.dtype.kind not in "fiu":
            raise DataError(f"{sweep.channel}: expected points (N, {_COLUMNS}), got {cloud.dtype} {cloud.shape}")
        good = np.isfinite(cloud).all(axis=1)
        if good.all():
            return sweep
        sensor.counts["points_not_finite"] += int(len(cloud) - good.sum())
        return dataclasses.replace(sweep, cloud=cloud[good])


class TimeBase:
    """Checks timestamps by the arrivals of all sensors together: they share one clock.

    The message with the smallest recent delay gives the offset between the two clocks. A message is plausible when it
    lies within ``limit`` microseconds of that offset. When only implausible messages have come for a quarter of a
    second, and they agree, the sensors' clock has jumped. One late sensor beside punctual ones is never a jump.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._best: tuple[int, ...] = ()
        self._window = 0
        self._seen = 0
        self._suspects: list[int] = []

    def sensor_time(self, now: int) -> int:
        """Return the time of the sensors' clock at a time of the stream's clock, less the shortest delay."""
        return now + max(self._best, default=0)

    def delay(self, timestamp: int, arrived: int) -> int:
        """Return how much more a message was delayed than the message with the smallest delay."""
        return max(self._best) - (timestamp - arrived) if self._best else 0

    def judge(self, timestamp: int, arrived: int) -> Literal["plausible", "implausible", "jump"]:
        """Register a message and check its timestamp (sensors' clock) by its arrival (stream's clock), in microseconds.

        Returns:
            The verdict; ``jump`` once when the sensors' clock has jumped, which makes all earlier timestamps invalid.
        """
        offset = timestamp - arrived
        if not self._best or abs(max(self._best) - offset) <= self.limit:
            if not self._best or arrived - self._window > _WINDOW:
                self._best, self._window = (*self._best[-1:], offset), arrived
            self._best = (*self._best[:-1], max(self._best[-1], offset))
            self._seen = arrived
            self._suspects.clear()
            return "plausible"
        if self._suspects and abs(offset - max(self._suspects)) > self.limit:
            self._suspects.clear()
        self._suspects.append(offset)
        if len(self._suspects) >= _CONFIRM and arrived - self._seen >= _CONFIRM_TIME:
            self._best, self._window, self._seen = (max(self._suspects),), arrived, arrived
            self._suspects.clear()
            return "jump"
        return "implausible"
