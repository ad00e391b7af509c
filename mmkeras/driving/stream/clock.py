"""Clocks of a stream: a real one, and a stepped one for replays.

No stream code reads the time itself. ``now`` orders events and runs at the stream's rate; ``stopwatch`` measures the
duration of work in real microseconds.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

__all__ = ["Clock", "RealClock", "SteppedClock"]

AWAKE = 1e-3
"""Seconds before a moment in which a real clock does not sleep."""


class Clock(ABC):
    """A monotonic clock in microseconds: jumps of the machine's wall clock do not affect it."""

    rate: float = 1.0
    """Microseconds of the stream per real microsecond."""

    @abstractmethod
    def now(self) -> int:
        """Return the stream's time."""

    @abstractmethod
    def wait_until(self, moment: int) -> None:
        """Return when ``now`` has reached a moment; at once if it has passed."""

    def stopwatch(self) -> float:
        """Return real microseconds from an arbitrary start."""
        return time.perf_counter_ns() / 1e3


class RealClock(Clock):
    """Runs from a start at a rate; 10 plays ten seconds of a drive in one."""

    def __init__(self, start: int = 0, rate: float = 1.0) -> None:
        self.rate = rate
        self._start, self._begin = start, time.perf_counter_ns()

    def now(self) -> int:
        """Return the stream's time."""
        return self._start + int((time.perf_counter_ns() - self._begin) / 1e3 * self.rate)

    def wait_until(self, moment: int) -> None:
        """Sleep until shortly before the moment, then busy-wait: a sleep may end a millisecond late."""
        while (left := (moment - self.now()) / 1e6 / self.rate) > 0:
            if left > AWAKE:
                time.sleep(left - AWAKE)


class SteppedClock(Clock):
    """Jumps to the next moment instead of waiting: the fastest replay, in which no work delays a frame."""

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> int:
        """Return the stream's time."""
        return self._now

    def wait_until(self, moment: int) -> None:
        """Jump to the moment."""
        self._now = max(self._now, moment)
