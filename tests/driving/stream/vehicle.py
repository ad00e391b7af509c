"""A car on a straight road with one camera and two radars, and a small detector: what the stream's tests drive."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mmkeras.driving.stream import Answer, Frame, SensorStream, Settings, Sweep
from mmkeras.driving.stream.clock import SteppedClock
from mmkeras.driving.stream.faults import parse_fault
from mmkeras.driving.stream.injection import Arrival, Injection
from mmkeras.driving.stream.replay import play
from mmkeras.media.geometry import Pose
from mmkeras.media.image.pixels import read_rgb

START = 1_000_000_000
FRAME, SWEEP = 80_000, 75_000
CHANNELS = ("RADAR_FRONT", "RADAR_FRONT_LEFT")
CAMERA = Pose((1.7, 0.0, 1.5), (0.5, -0.5, 0.5, -0.5))
SENSOR = Pose((3.4, 0.0, 0.5))
INTRINSIC = np.array([[400.0, 0.0, 256.0], [0.0, 400.0, 144.0], [0.0, 0.0, 1.0]])
SPEED = 10.0
WALL = 200.0
"""A target stands so many metres ahead of where the car starts."""


def ego(timestamp: int) -> Pose:
    return Pose.flat(SPEED * (timestamp - START) / 1e6, 0.0, 0.0)


def frame(timestamp: int) -> Frame:
    pixels = np.full((8, 16, 3), (timestamp // 1000) % 251, np.uint8)
    return Frame(pixels, timestamp, INTRINSIC, CAMERA, ego(timestamp))


def sweep(timestamp: int, channel: str = CHANNELS[0]) -> Sweep:
    ahead = WALL - SPEED * (timestamp - START) / 1e6 - SENSOR.translation[0]
    cloud = np.array([[ahead, 0.0, 1.0, 10.0, -1.0, 0.0], [ahead, 2.0, 1.0, 5.0, 0.0, 0.0]], np.float32)
    return Sweep(cloud, timestamp, SENSOR, ego(timestamp), channel)


def drive(seconds: float = 4.0, *, rate: float = 1.0, camera: bool = True, radar: bool = True) -> list[Arrival]:
    """Messages in the order of arrival: frames after 30 ms, sweeps after 10 ms."""
    end = START + round(seconds * 1e6)
    arrivals = []
    for timestamp in range(START, end, round(FRAME / rate)) if camera else ():
        arrivals.append(Arrival(timestamp + 30_000, frame(timestamp)))
    for timestamp in range(START, end, round(SWEEP / rate)) if radar else ():
        arrivals += [Arrival(timestamp + 10_000, sweep(timestamp, channel)) for channel in CHANNELS]
    return sorted(arrivals, key=lambda arrival: arrival.moment)


class FakeClock(SteppedClock):
    """A stepped clock on which work takes as long as a test says."""

    def pass_time(self, microseconds: int) -> None:
        self._now += microseconds

    def stopwatch(self) -> float:
        return float(self._now)


class WallDetector:
    """Says how far away the nearest radar point is, and how bright the image; takes its time on a fake clock."""

    def __init__(self, clock: FakeClock | None = None, takes: int = 0) -> None:
        self.has_camera = self.has_radar = True
        self.camera_pose = CAMERA
        self.clock, self.takes = clock, takes
        self.calls: list[tuple[bool, bool]] = []

    def image_inputs(self, frame: Frame) -> Mapping[str, np.ndarray]:
        return {"camera": np.asarray(read_rgb(frame.image))[None]}

    def radar_inputs(self, points: np.ndarray) -> Mapping[str, np.ndarray]:
        assert np.isfinite(points).all()
        return {"radar": points[None]}

    def infer(self, image: Mapping[str, np.ndarray] | None, radar: Mapping[str, np.ndarray] | None) -> Any:
        assert image is not None or radar is not None
        self.calls.append((image is not None, radar is not None))
        if self.clock:
            self.clock.pass_time(self.takes)
        depth = math.nan if radar is None else float(radar["radar"][0, :, 2].min(initial=np.inf))
        return {"depth": np.array([depth])}

    def decode(self, outputs: Mapping[str, np.ndarray], camera: Pose) -> list[dict[str, Any]]:
        depth = float(outputs["depth"][0])
        return [] if math.isnan(depth) else [{"class": "wall", "distance": depth + camera.translation[0]}]


class Trip:
    """A stream that has been driven through a script of faults."""

    def __init__(
        self,
        *faults: str,
        arrivals: Iterable[Arrival] | None = None,
        seconds: float = 4.0,
        takes: int = 20_000,
        **settings: int,
    ) -> None:
        clock = FakeClock(START)
        self.detector = WallDetector(clock, takes)
        self.stream = SensorStream(self.detector, clock, Settings(**{"frame_period": FRAME, **settings}))
        self.sent = list(drive(seconds) if arrivals is None else arrivals)
        self.injection = Injection([parse_fault(text) for text in faults], START)
        end = START + round(seconds * 1e6)
        self.answers: list[Answer] = list(play(self.stream, self.injection(self.sent), clock, end))
        self.end = clock.now()
        self.counters = self.stream.counters()

    def kinds(self, begin: float = 0.0, end: float = 1e9) -> list[str]:
        """The kinds of answers whose frame or tick came between two moments, in seconds."""
        return [a.kind for a in self.answers if begin <= (a.arrived - START) / 1e6 < end]

    def counts(self, sensor: str) -> dict[str, int]:
        return self.counters["sensors"][sensor]["counts"]

    def absent(self, sensor: str) -> list[list[float]]:
        return self.counters["sensors"][sensor]["absent"]

    def gaps(self) -> list[float]:
        """Seconds between consecutive answers' arrivals."""
        moments = sorted(answer.arrived for answer in self.answers)
        return [(b - a) / 1e6 for a, b in itertools.pairwise(moments)]
