"""Timestamps of a drive: their unit, and which radar sweeps belong to a frame, in training and in a stream."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["MAX_AGE", "MAX_SKEW", "check_unit", "usable"]

MAX_SKEW = 150_000
"""Microseconds by which a radar's newest sweep may differ from its frame; beyond, the radar counts as absent."""
MAX_AGE = 500_000
"""Microseconds by which a sweep may be older than its frame."""
SHORTEST, LONGEST = 5_000, 10_000_000
"""Microseconds between two measurements of a camera or radar: 200 Hz to 0.1 Hz."""
UNITS = {"milliseconds": 1e3, "nanoseconds": 1e-3, "seconds": 1e6}
"""Microseconds per unit that drives often use instead."""


def usable(timestamps: Sequence[int] | np.ndarray, frame: int, max_skew: int, max_age: int) -> np.ndarray:
    """Return bool (N,): the sweeps of one radar that belong to a frame, by the rule of the stream.

    These are the sweeps up to the frame that are not older than ``max_age``, if the newest of them lies within
    ``max_skew``. Without such sweeps it is the oldest sweep after the frame, if it lies within ``max_skew``. All times
    are microseconds, in any order.
    """
    ages = frame - np.asarray(timestamps, np.int64)
    past = (ages >= 0) & (ages <= max_age)
    if past.any():
        return past if ages[past].min() <= max_skew else np.zeros(len(ages), bool)
    young = (ages < 0) & (ages >= -max_skew)
    return young & (ages == ages[young].max()) if young.any() else young


def check_unit(steps: np.ndarray, channel: str, path: Path) -> None:
    """Check that the times of one sensor are plausible as microseconds.

    ``steps`` are the intervals (N,) between measurements of a scene; fewer than three are not tested.

    Raises:
        DataError: the median step is shorter than 5 ms or longer than 10 s.
    """
    if len(steps) < 3:
        return
    step = float(np.median(steps))
    if SHORTEST <= step <= LONGEST:
        return
    unit = next((unit for unit, size in UNITS.items() if SHORTEST <= step * size <= LONGEST), "")
    guess = f"They look like {unit}: convert" if unit else "Convert"
    raise DataError(
        f"{path}: expected timestamps in microseconds, but two measurements of {channel} are usually {step:g} apart, "
        f"which would be {step / 1e6:g} s. {guess} all timestamps to microseconds"
    )
