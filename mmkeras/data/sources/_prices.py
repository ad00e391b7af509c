"""Prices and texts of stocks as sources read them, and the order of their dates."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.data.sources._contract import Sample

__all__ = ["FEATURES", "Prices", "Read", "Text", "in_order", "out_of_order"]

FEATURES = ("return", "gap", "range", "open above low", "volume", "market return", "market gap")
"""Numbers of a step, logarithms: close to the close before, open to the close before (less its mean in the window),
high to low, open to low, volume, and the means of the first two over all stocks."""


@dataclass(frozen=True)
class Prices:
    """Trading days of one stock, the oldest first."""

    stock: str
    dates: tuple[str, ...]
    """ISO 8601."""
    origins: tuple[str, ...]
    """Place of each day, for messages: ``price/AAPL.txt:17``."""
    moves: np.ndarray
    """float64 (n,): share by which the price at the close differs from that of the day before."""
    steps: np.ndarray
    """float64 (n, 5): the first five of `FEATURES`; NaN where one is missing. Gaps may have any constant added."""


@dataclass(frozen=True)
class Text:
    """A text about a stock."""

    known: str
    """Date at whose market close it is known, in ISO 8601."""
    text: str


@dataclass(frozen=True)
class Read:
    """All that a source has read."""

    prices: list[Prices]
    texts: Mapping[str, Sequence[Text]]
    """By stock, in the order of time."""
    bad: list[Sample] = field(default_factory=list)
    """Lines that cannot be used, each with its error."""


def in_order(dates: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the positions of the most dates that rise, or fall, from line to line, oldest first, and of all others."""
    falling = len(dates) > 1 and dates[0] > dates[-1]
    order = range(len(dates) - 1, -1, -1) if falling else range(len(dates))
    ends: list[str] = []
    tails: list[int] = []
    before: dict[int, int] = {}
    for place in order:
        length = bisect.bisect_left(ends, dates[place])
        if length:
            before[place] = tails[length - 1]
        ends[length : length + 1], tails[length : length + 1] = [dates[place]], [place]
    kept: list[int] = []
    last: int | None = tails[-1] if tails else None
    while last is not None:
        kept.append(last)
        last = before.get(last)
    kept.reverse()
    return kept, sorted(set(range(len(dates))) - set(kept))


def out_of_order(origin: str, date: str) -> Sample:
    """Return the bad sample of a line whose date does not fit those around it."""
    problem = DataError(f"the date {date} is out of order. Sort the lines by date, each date once")
    return Sample(key=origin, values={}, target=problem, origin=origin)
