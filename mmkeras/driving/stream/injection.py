"""Applies a script of faults to the messages of a replay before they reach the stream."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.stream.faults import Fault
from mmkeras.driving.stream.messages import CAMERA, Frame, Message
from mmkeras.media.points.radar_cloud import Sweep

__all__ = ["Arrival", "Injection"]


@dataclass(frozen=True)
class Arrival:
    """A message and when it reaches the stream."""

    moment: int
    """Microseconds of the stream's clock."""
    message: Message


class Injection:
    """Applies faults to arrivals.

    Args:
        faults: in any order.
        start: moment from which their times count.
        seed: of the random draws of drop and jitter.
    """

    def __init__(self, faults: Iterable[Fault], start: int, seed: int = 0) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.begin))
        self.start = start
        self.applied: Counter[str] = Counter()
        """Messages affected by each fault, by its text."""
        self._rng = np.random.default_rng(seed)
        self._hit: set[tuple[str, str]] = set()
        self._frozen: dict[tuple[str, str], Message] = {}

    def __call__(self, arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
        """Yield the remaining arrivals in their new order; ``arrivals`` are in the order of their moments."""
        late: list[tuple[int, int, Message]] = []
        number = itertools.count()
        for arrival in arrivals:
            for moment, message in self._changed(arrival):
                heapq.heappush(late, (moment, next(number), message))
            while late and late[0][0] <= arrival.moment:
                moment, _, message = heapq.heappop(late)
                yield Arrival(moment, message)
        yield from (Arrival(moment, message) for moment, _, message in sorted(late))

    def _changed(self, arrival: Arrival) -> list[tuple[int, Message]]:
        message, moment, copies = arrival.message, arrival.moment, 1
        at = arrival.moment - self.start
        kind = CAMERA if isinstance(message, Frame) else "radar"
        dead = ""
        for fault in self.faults:
            if not fault.concerns(kind, message.channel) or not fault.active(at):
                continue
            if fault.once:
                if (fault.text, message.channel) in self._hit:
                    continue
                self._hit.add((fault.text, message.channel))
            if fault.kind == "revive":
                dead = ""
                continue
            if fault.kind == "kill":
                dead = fault.text
                continue
            if fault.kind == "drop" and self._rng.random() >= fault.amount:
                continue
            self.applied[fault.text] += 1
            if fault.kind == "drop":
                return []
            if fault.kind == "delay":
                moment += int(fault.amount)
            elif fault.kind == "jitter":
                moment += int(self._rng.uniform(0, fault.amount))
            elif fault.kind == "repeat":
                copies += 1
            elif fault.kind == "jump":
                message = dataclasses.replace(message, timestamp=message.timestamp + int(fault.amount))
            elif fault.kind == "freeze":
                message = self._freeze(fault, message)
            elif fault.kind == "corrupt":
                message = _corrupted(message)
        if dead:
            self.applied[dead] += 1
            return []
        return [(moment, message)] * copies

    def _freeze(self, fault: Fault, message: Message) -> Message:
        first = self._frozen.setdefault((fault.text, message.channel), message)
        if isinstance(message, Frame) and isinstance(first, Frame):
            return dataclasses.replace(message, image=first.image)
        if isinstance(message, Sweep) and isinstance(first, Sweep):
            return dataclasses.replace(message, cloud=first.cloud)
        return message


def _corrupted(message: Message) -> Message:
    if isinstance(message, Sweep):
        cloud = np.array(message.cloud, np.float64)
        cloud[::2] = np.nan
        return dataclasses.replace(message, cloud=cloud)
    data = message.image if isinstance(message.image, bytes) else b"\xff\xd8\xff\xe0 no picture"
    return dataclasses.replace(message, image=data[: len(data) // 2])
