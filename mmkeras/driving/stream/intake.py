"""Takes messages in: judges their times, keeps sweeps and poses, and knows which sensor is there."""

from __future__ import annotations

import dataclasses

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.driving.stream.buffers import EgoTrack, SweepBuffer
from mmkeras.driving.stream.messages import CAMERA, Frame
from mmkeras.driving.stream.sensors import Sensor
from mmkeras.driving.stream.settings import Settings
from mmkeras.driving.stream.timebase import TimeBase
from mmkeras.media.geometry import Pose
from mmkeras.media.points.radar_cloud import Sweep

__all__ = ["Intake"]

PARTNER_PERIODS = 1.25
"""A frame whose newest sweep is older than so many periods of the radar lacks one that should be there."""
_COLUMNS = 6


class Intake:
    """All that is known of the sensors at a moment. Not safe for several threads: the stream locks.

    Args:
        settings: limits.
        start: the stream's time.
        pose: camera -> ego until a frame tells.
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
        """The camera and every radar that has sent something."""
        return [self.camera, *self.radars.values()]

    def take_sweep(self, sweep: Sweep, arrived: int) -> None:
        """Keep a sweep if it can be used, and count it either way."""
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
            # Still of use as one of the past sweeps: sorted in, and counted.
            sensor.counts["out_of_order"] += 1
        sweep.to_global  # noqa: B018 - computed here and not when a frame waits for its answer
        buffer.add(sweep)
        self.ego.add(sweep.timestamp, sweep.ego)
        return sensor.accept(sweep.timestamp, arrived, self.time.delay(sweep.timestamp, arrived))

    def take_frame(self, frame: Frame, arrived: int) -> str:
        """Take note of a frame.

        Returns:
            Why its image cannot be used: ``duplicate``, ``order``, ``time``; empty for a good one.
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
        """Let silence and age take effect."""
        for sensor in self.sensors:
            sensor.update(now)
        oldest = self.time.sensor_time(now) - self.settings.max_age
        for buffer in self._buffers.values():
            buffer.expire(oldest)

    def frame_time(self, arrived: int) -> int:
        """Return the timestamp of a frame that would arrive at a moment, as late as the last one did."""
        return self.time.sensor_time(arrived) - self._camera_delay

    def sweeps_for(self, timestamp: int) -> list[Sweep]:
        """Return what every radar that is there has for a frame, newest first of each."""
        s = self.settings
        found: list[Sweep] = []
        for name, sensor in self.radars.items():
            if sensor.state != "absent":
                found += self._buffers[name].partners(timestamp, s.max_skew, s.max_age, s.sweeps)
        return found

    def worth_waiting(self, timestamp: int, until: int) -> bool:
        """Return whether a radar owes a sweep for a frame that can still come before a moment.

        A radar that is absent is not waited for, nor one whose messages take too long.
        """
        for name, sensor in self.radars.items():
            if sensor.state == "absent" or sensor.expected is None or sensor.expected > until:
                continue
            newest = self._buffers[name].newest()
            if newest is None or timestamp - newest > PARTNER_PERIODS * sensor.period:
                return True
        return False

    def next_absence(self, now: int) -> int:
        """Return when the next silent radar will be absent; far ahead when none will."""
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
