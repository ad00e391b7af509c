"""Which scene has which time of day, weather and surroundings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.config import SimulationConfig

__all__ = ["Conditions", "SceneRequest", "plan_scenes"]


@dataclass(frozen=True)
class Conditions:
    """Light and weather of a scene."""

    time_of_day: str = "day"
    """``day``, ``dusk`` or ``night``."""
    weather: str = "clear"
    """``clear``, ``rain`` or ``fog``."""
    sunny: bool = True
    """The sun throws shadows."""
    surroundings: str = "city"
    """``city``, ``suburb`` or ``country``."""

    @property
    def description(self) -> str:
        """The scene's description; readers find time and weather by their names."""
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
    """Return ``count`` names in random order, each as often as its share says, to the nearest number."""
    names: list[str] = []
    for name, share in shares.items():
        names += [name] * round(count * share)
    names = (names + [rest] * count)[:count]
    return [names[i] for i in rng.permutation(count)]


def plan_scenes(config: SimulationConfig) -> list[SceneRequest]:
    """Return every scene. Each split holds the shares of the configuration on its own."""
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
