"""The state of a sensor (present, late or absent), its history, and counts of its messages."""

from __future__ import annotations

import bisect
import itertools
import statistics
from collections import Counter
from typing import Any, Literal, TypeAlias

__all__ = ["Sensor", "State"]

State: TypeAlias = Literal["present", "late", "absent"]

LATE_PERIODS, ABSENT_PERIODS = 1.75, 3.5
"""Periods without a message after which a sensor counts as late and as absent. One lost message makes it late."""
_LEARN = 64


class Sensor:
    """One sensor's presence and counts. Times are microseconds of the stream's clock.

    A message makes the sensor present, or late if it was delayed by more than ``late_delay``. Without further messages
    the sensor becomes late, then absent. It is absent until its first message.

    Args:
        name: for reports.
        period: expected time between messages, until it is measured.
        late_delay: how much more a message may be delayed than the message with the smallest delay.
        since: when the stream started.
    """

    def __init__(self, name: str, period: int, late_delay: int, since: int) -> None:
        self.name = name
        self.period = period
        self.late_delay = late_delay
        self.state: State = "absent"
        self.arrived: int | None = None
        """Arrival of the last usable message."""
        self.newest: int | None = None
        """Largest timestamp."""
        self.counts: Counter[str] = Counter()
        """Messages received, and messages not used by reason."""
        self.dropped: list[int] = []
        """Arrival of the last dropped messages, for the timeline."""
        self._since = since
        self._history: list[tuple[State, int, int]] = []
        self._times: list[int] = []

    def accept(self, timestamp: int, arrived: int, delay: int) -> None:
        """Register a usable message, delayed by ``delay`` more than the message with the smallest delay."""
        self.update(arrived)
        self.learn(timestamp)
        self.newest = timestamp if self.newest is None else max(self.newest, timestamp)
        self.arrived = arrived
        self._change("late" if delay > self.late_delay else "present", arrived)

    def learn(self, timestamp: int) -> None:
        """Update the period from a message, in order or not."""
        place = bisect.bisect_left(self._times, timestamp)
        if self._times[place : place + 1] == [timestamp]:
            return
        self._times.insert(place, timestamp)
        del self._times[:-_LEARN]
        if len(self._times) > 3:
            self.period = int(statistics.median(b - a for a, b in itertools.pairwise(self._times)))

    def update(self, now: int) -> None:
        """Become late or absent if no message has come, as of the moment that the limit passed."""
        if self.arrived is None:
            return
        late, absent = self.arrived + int(LATE_PERIODS * self.period), self.absent_at
        if now >= late and self.state == "present":
            self._change("late", late)
        if absent is not None and now >= absent:
            self._change("absent", absent)

    def refuse(self, moment: int) -> None:
        """Mark the sensor absent since a moment whose message proved to be unusable."""
        self._change("absent", moment)

    def forget_times(self) -> None:
        """Drop the timestamps so far, after a jump of the sensors' clock."""
        self.newest = None
        self._times.clear()

    def drop(self, reason: str, now: int) -> None:
        """Count a message that is not used."""
        self.counts[reason] += 1
        self.dropped.append(now)
        del self.dropped[:-10_000]

    @property
    def expected(self) -> int | None:
        """When the next message should arrive; None before the first."""
        return None if self.arrived is None else self.arrived + self.period

    @property
    def absent_at(self) -> int | None:
        """When it becomes absent if no message comes; None if it is absent."""
        if self.arrived is None or self.state == "absent":
            return None
        return self.arrived + int(ABSENT_PERIODS * self.period)

    def intervals(self, now: int) -> list[tuple[State, int, int]]:
        """Return the states with their beginning and end, without gaps from the stream's start to a time."""
        result: list[tuple[State, int, int]] = []
        for state, begin, end in [*self._history, (self.state, self._since, now)]:
            end = min(end, now)
            if result and result[-1][0] == state:
                result[-1] = (state, result[-1][1], end)
            elif end > begin:
                result.append((state, begin, end))
        return result

    def to_json(self, start: int, now: int) -> dict[str, Any]:
        """Return the counts, and the intervals in which it was late or absent, in seconds from the start."""
        seconds: dict[str, list[list[float]]] = {"late": [], "absent": []}
        for state, begin, end in self.intervals(now):
            if state in seconds:
                seconds[state].append([round((begin - start) / 1e6, 3), round((end - start) / 1e6, 3)])
        return {"counts": dict(sorted(self.counts.items())), "period_ms": self.period / 1e3, **seconds}

    def _change(self, state: State, moment: int) -> None:
        if state == self.state:
            return
        if moment > self._since:
            self._history.append((self.state, self._since, moment))
            del self._history[:-10_000]
        self.state, self._since = state, max(moment, self._since)
