"""Times both sides on single rows in turn, so that other programs on the machine slow down both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.foreign.feeds import SIDES
from export.foreign.rows import Rows

__all__ = ["Latency", "latency"]

_ROUNDS = 50
_WARM_UP = 3
_SECONDS = 10.0


@dataclass(frozen=True)
class Latency:
    """Time of one inference with one row (or the file's own batch), preprocessing left out."""

    rounds: int
    wall_ms: Mapping[str, float]
    """Median by side."""
    cpu_ms: Mapping[str, float]
    """Median of the CPU time of this process, all its threads together."""
    wall_ratio: float
    """Median of file / reference over the rounds."""
    cpu_ratio: float


def latency(rows: Rows) -> Latency:
    """Time both sides in turn, in rounds of one inference each; the first rounds do not count."""
    values = [rows.values(row) for row in rows.good[:4]]
    inputs = {side: [rows.feeds.batch([each], side) for each in values] for side in SIDES}
    models, started = rows.feeds.models, time.monotonic()
    wall: dict[str, list[float]] = {side: [] for side in SIDES}
    cpu: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(_WARM_UP + _ROUNDS):
        for side in SIDES if number % 2 else reversed(SIDES):
            given = inputs[side][number % len(values)]
            begin, busy = time.perf_counter(), time.process_time()
            models[side].infer(given)
            took, worked = time.perf_counter() - begin, time.process_time() - busy
            if number >= _WARM_UP:
                wall[side].append(1e3 * took)
                cpu[side].append(1e3 * worked)
        if number > _WARM_UP and time.monotonic() - started > _SECONDS:
            break
    return Latency(
        len(wall["file"]),
        {side: float(np.median(wall[side])) for side in SIDES},
        {side: float(np.median(cpu[side])) for side in SIDES},
        _ratio(wall),
        _ratio(cpu),
    )


def _ratio(times: Mapping[str, list[float]]) -> float:
    # The clock of the CPU may have steps of a millisecond: a time of 0 is one step at most.
    file, reference = (np.maximum(times[side], 1e-3) for side in SIDES)
    return float(np.median(file / reference))
