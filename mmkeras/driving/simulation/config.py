"""The configuration of a simulated set of drives, and the time of day, weather and surroundings of each scene."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import ConfigError

__all__ = ["Conditions", "SceneRequest", "SimulationConfig", "plan_scenes"]

SHARES = ("dusk", "night", "rain", "fog", "crossroads", "sunny")


@dataclass(frozen=True)
class SimulationConfig:
    """The numbers of a simulation. Equal configurations give equal bytes, whatever the number of workers."""

    train_scenes: int = 150
    """Scenes of the training split."""
    validation_scenes: int = 20
    """Scenes of the validation split."""
    test_scenes: int = 35
    """Scenes of the test split."""
    replay_scenes: int = 1
    """Number of first test scenes that are written with all frames and sweeps; the first is a clear day."""
    scene_seconds: float = 10.0
    """Length of a scene; the last key frame is less than one key frame interval before its end."""
    key_rate: float = 2.0
    """Key frames per second; only these are annotated."""
    camera_rate: float = 10.0
    """Camera frames per second of the replay scenes; rounded to a multiple of ``key_rate``."""
    radar_rate: float = 13.0
    """Sweeps per second of each radar; each radar has its own phase."""
    sweeps: int = 6
    """Radar sweeps written per key frame and radar, including the key sweep; a reader cannot use more."""
    width: int = 512
    """Columns of the camera image."""
    height: int = 288
    """Rows of the camera image."""
    field_of_view: float = 65.0
    """Horizontal, in degrees."""
    jpeg_quality: int = 85
    """Of the camera images."""
    dusk: float = 0.15
    """Share of scenes at dusk, in every split."""
    night: float = 0.25
    """Share of scenes at night, in every split."""
    rain: float = 0.15
    """Share of scenes in rain, in every split and at any time of day."""
    fog: float = 0.15
    """Share of scenes in fog, in every split and at any time of day."""
    sunny: float = 0.6
    """Share of the clear days with sun and shadows."""
    crossroads: float = 0.5
    """Share of scenes in towns with a crossing street."""
    density: float = 1.0
    """Scales the number of road users."""
    pitch_jitter: float = 0.35
    """Standard deviation in degrees of the body's pitch (twice its roll's), in neither calibration nor ego pose."""
    hill: float = 0.5
    """Amplitude of the ground's waves in metres."""
    radar_angle_noise: float = 1.7
    """Standard deviation of a return's azimuth in degrees."""
    radar_range_noise: float = 0.2
    """Standard deviation of a return's range in metres."""
    radar_speed_noise: float = 0.12
    """Standard deviation of a return's radial velocity in m/s."""
    radar_clutter: float = 7.0
    """Mean number of returns per sweep that belong to no object."""
    radar_latency: float = 0.015
    """Seconds from a measurement to its timestamp."""
    annotation_range: float = 60.0
    """Objects are annotated up to this distance from the ego vehicle, in metres."""
    seed: int = 0
    """Seed of all random numbers."""
    workers: int = 0
    """Worker processes; 0: one per core."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: a value out of range.
        """
        for name in SHARES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"SimulationConfig.{name}: expected a share from 0 to 1, got {getattr(self, name)}")
        for first, second in (("dusk", "night"), ("rain", "fog")):
            if getattr(self, first) + getattr(self, second) > 1.0:
                raise ConfigError(f"SimulationConfig: {first} and {second} together exceed 1; lower one of them")
        for name in ("train_scenes", "validation_scenes", "test_scenes", "replay_scenes", "workers", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"SimulationConfig.{name}: expected 0 or more, got {getattr(self, name)}")
        if self.scenes < 1:
            raise ConfigError("SimulationConfig: expected at least one scene; raise train_scenes or test_scenes")
        for name in ("scene_seconds", "key_rate", "camera_rate", "radar_rate", "annotation_range"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ConfigError(f"SimulationConfig.{name}: expected more than 0, got {getattr(self, name)}")
        if self.width < 32 or self.height < 32 or self.width % 2 or self.height % 2:
            raise ConfigError(f"SimulationConfig: expected an even image of 32 pixels or more, got {self.size}")
        if not 20.0 <= self.field_of_view <= 120.0:
            raise ConfigError(f"SimulationConfig.field_of_view: expected 20 to 120 degrees, got {self.field_of_view}")
        if self.radar_rate < 2.0:
            raise ConfigError(f"SimulationConfig.radar_rate: expected 2 per second or more, got {self.radar_rate}")
        if self.sweeps < 1 or not 1 <= self.jpeg_quality <= 95:
            raise ConfigError("SimulationConfig: expected sweeps of 1 or more and a jpeg_quality from 1 to 95")

    @property
    def scenes(self) -> int:
        """Scenes in all splits."""
        return self.train_scenes + self.validation_scenes + self.test_scenes

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the camera image."""
        return (self.width, self.height)

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.width / 2 / math.tan(math.radians(self.field_of_view) / 2)

    @property
    def key_frames(self) -> int:
        """Key frames per scene."""
        return max(1, round(self.scene_seconds * self.key_rate))

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that determine the output: all but ``workers``."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "workers"}


@dataclass(frozen=True)
class Conditions:
    """Light and weather of a scene."""

    time_of_day: str = "day"
    """``day``, ``dusk`` or ``night``."""
    weather: str = "clear"
    """``clear``, ``rain`` or ``fog``."""
    sunny: bool = True
    """Whether there are sun and shadows."""
    surroundings: str = "city"
    """``city``, ``suburb`` or ``country``."""

    @property
    def description(self) -> str:
        """The scene's description; readers find time and weather by their words."""
        return f"Simulated {self.surroundings}, {self.time_of_day.capitalize()}, {self.weather.capitalize()}"


@dataclass(frozen=True)
class SceneRequest:
    """One scene to be simulated."""

    index: int
    name: str
    split: str
    """``train``, ``validation`` or ``test``."""
    conditions: Conditions
    replay: bool
    """Whether all camera frames and radar sweeps are written."""


def _spread(count: int, shares: dict[str, float], rest: str, rng: np.random.Generator) -> list[str]:
    """Return ``count`` names in random order, each with its share of them, rounded."""
    names: list[str] = []
    for name, share in shares.items():
        names += [name] * round(count * share)
    names = (names + [rest] * count)[:count]
    return [names[i] for i in rng.permutation(count)]


def plan_scenes(config: SimulationConfig) -> list[SceneRequest]:
    """Return every scene. Each split by itself has the shares of the configuration."""
    requests: list[SceneRequest] = []
    counts = {"train": config.train_scenes, "validation": config.validation_scenes, "test": config.test_scenes}
    for number, (split, count) in enumerate(counts.items()):
        rng = np.random.default_rng([config.seed, 1, number])
        times = _spread(count, {"night": config.night, "dusk": config.dusk}, "day", rng)
        weathers = _spread(count, {"rain": config.rain, "fog": config.fog}, "clear", rng)
        places = _spread(count, {"suburb": 0.3, "country": 0.2}, "city", rng)
        suns = rng.random(count) < config.sunny
        pairs = list(zip(times, weathers, strict=True))
        if split == "test" and config.replay_scenes and ("day", "clear") in pairs:
            pairs.insert(0, pairs.pop(pairs.index(("day", "clear"))))
        for i, (time_of_day, weather) in enumerate(pairs):
            sunny = bool(suns[i]) and weather == "clear" and time_of_day != "night"
            index = len(requests)
            requests.append(
                SceneRequest(
                    index=index,
                    name=f"scene-{index + 1:04d}",
                    split=split,
                    conditions=Conditions(time_of_day, weather, sunny, places[i]),
                    replay=split == "test" and i < config.replay_scenes,
                )
            )
    return requests
