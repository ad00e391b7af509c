"""Clocks of a stream: a real one, a stepped one for replays and a fake one for tests.

No stream code reads the time itself. ``now`` orders events and runs at the stream's rate; ``stopwatch`` measures the
duration of work in real microseconds.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

__all__ = ["Clock", "FakeClock", "RealClock", "SteppedClock"]

AWAKE = 1e-3
"""Seconds before a moment during which a real clock does not sleep."""


class Clock(ABC):
    """Microseconds, monotonic: a jump of the machine's wall clock does not reach it."""

    rate: float = 1.0
    """Microseconds of the stream per real microsecond."""

    @abstractmethod
    def now(self) -> int:
        """Return the stream's time."""

    @abstractmethod
    def wait_until(self, moment: int) -> None:
        """Return when ``now`` has come to a moment; at once when it has passed."""

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
        """Sleep until shortly before the moment, then busy-wait.

        A sleep may end a millisecond late, and the replay must measure the stream and not the timer.
        """
        while (left := (moment - self.now()) / 1e6 / self.rate) > 0:
            if left > AWAKE:
                time.sleep(left - AWAKE)


class SteppedClock(Clock):
    """Jumps to the next moment instead of waiting: a replay as fast as it can, in which no work delays a frame."""

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> int:
        """Return the stream's time."""
        return self._now

    def wait_until(self, moment: int) -> None:
        """Jump to the moment."""
        self._now = max(self._now, moment)


class FakeClock(SteppedClock):
    """A stepped clock on which work takes the time that a test says, by `pass_time`."""

    def pass_time(self, microseconds: int) -> None:
        """Let time pass, on both hands."""
        self._now += microseconds

    def stopwatch(self) -> float:
        """Return the stream's time."""
        return float(self._now)
