"""The limits of a stream: which sweeps belong to a frame, what is too old, what is late."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

from mmkeras.core.errors import ConfigError
from mmkeras.driving.drives.times import MAX_AGE, MAX_SKEW

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """Limits of a stream; times in microseconds."""

    max_skew: int = MAX_SKEW
    """Largest time between a frame and the newest sweep of a radar that belongs to it."""
    max_age: int = MAX_AGE
    """Largest age of a sweep or frame that is used."""
    deadline: int = 100_000
    """Time from a frame's arrival to its answer; it limits the wait for a late radar."""
    queue: int = 2
    """Most frames that wait; the oldest is skipped."""
    sweeps: int = 6
    """Most sweeps of each radar that are used; `BundleDetector.sweeps` is the number in training."""
    frame_period: int = 83_333
    """Time between frames until it is measured: 12 Hz in nuScenes."""
    sweep_period: int = 76_923
    """Time between a radar's sweeps until it is measured: 13 Hz in nuScenes."""

    def __post_init__(self) -> None:
        """Check all values.

        Raises:
            ConfigError: values out of range.
        """
        times = ("max_skew", "max_age", "deadline", "frame_period", "sweep_period")
        problems = [
            f"{name}: expected a whole number of microseconds, got {getattr(self, name)!r}"
            for name in times
            if not isinstance(getattr(self, name), numbers.Integral)
        ]
        problems += [
            f"{name}: expected more than 0, got {getattr(self, name)}"
            for name in ("max_age", "deadline", "queue", "sweeps", "frame_period", "sweep_period")
            if getattr(self, name) < 1
        ]
        if not 0 <= self.max_skew <= self.max_age:
            problems.append(f"max_skew: expected 0 to max_age ({self.max_age}), got {self.max_skew}")
        if problems:
            raise ConfigError("\n".join(f"stream {problem}" for problem in problems))
