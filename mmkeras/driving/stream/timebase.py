"""How the sensors' timestamps relate to the time at which messages arrive: delays, and jumps of the sensors' clock."""

from __future__ import annotations

from typing import Literal

__all__ = ["TimeBase"]

_WINDOW = 10_000_000
"""The most timely message of so long counts, and of as long before it: the two clocks may drift apart."""
_CONFIRM = 3
_CONFIRM_TIME = 250_000


class TimeBase:
    """Judges timestamps against arrivals, for all sensors together: they share one clock.

    The most timely message of late says how far the two clocks are apart. A message is plausible when it lies within
    ``limit`` of that. When only implausible ones have come for a quarter of a second, and they agree, the sensors'
    clock has jumped: one late sensor beside punctual ones is late, and never a jump.

    Args:
        limit: microseconds by which a message may be off.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._best: tuple[int, ...] = ()
        self._window = 0
        self._seen = 0
        self._suspects: list[int] = []

    @property
    def known(self) -> bool:
        """Whether any message has come."""
        return bool(self._best)

    def sensor_time(self, now: int) -> int:
        """Return what the sensors' clock shows at a time of the stream's clock, less the shortest delay."""
        return now + max(self._best, default=0)

    def delay(self, timestamp: int, arrived: int) -> int:
        """Return by how much a message came later than the most timely one."""
        return max(self._best) - (timestamp - arrived) if self._best else 0

    def judge(self, timestamp: int, arrived: int) -> Literal["plausible", "implausible", "jump"]:
        """Take note of a message and say whether its timestamp can be true.

        Args:
            timestamp: microseconds of the sensors' clock.
            arrived: microseconds of the stream's clock.

        Returns:
            ``jump`` once when the sensors' clock has jumped; what was noted with earlier timestamps is then void.
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
