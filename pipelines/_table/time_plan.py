"""Chooses quality and epochs within a time limit, from a training step that is measured on this machine."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from pipelines._table.timing import Measured, measure

__all__ = ["TimePlan", "plan_time", "seconds_of", "shown"]

EXPORT = 4.0
"""Seconds of evaluation, export, verification and self-test, per second of a training of two steps: most of both goes
into building and tracing graphs. An estimate from tables of 1,000 rows, with every format and precision."""
EVALUATION = 0.4
"""Seconds of the evaluation alone, in the same unit."""
_ENOUGH = 0.6
"""Share of the epochs of a quality that must fit into the limit for the quality to be chosen."""
_RESERVE = 0.95
"""Share of the limit that is planned for."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class TimePlan:
    """A chosen configuration and the time it is expected to take."""

    quality: str
    proposed: dict[str, Any]
    """The configuration, with its epochs and the limit of its training."""
    expected: float
    """Seconds of the whole run from now on."""


def seconds_of(limit: str | float) -> float:
    """Return the seconds of ``90s``, ``10m``, ``1h30m`` or a number of seconds.

    Raises:
        ConfigError: something else, or no time at all.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", limit) if isinstance(limit, str) else []
    if isinstance(limit, str):
        whole = "".join(number + unit for number, unit in parts)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) if whole == limit.strip() else 0.0
    else:
        seconds = float(limit)
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"time limit {limit!r}: expected a time such as 90s, 10m or 1h30m")
    return seconds


def shown(seconds: float) -> str:
    """Return seconds for people: ``4 min 10 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plan_time(
    proposals: Mapping[str, dict[str, Any]],
    limit: float,
    *,
    began: float,
    exports: bool,
    console: Console,
    measure: Callable[[dict[str, Any]], Measured] = measure,
) -> TimePlan:
    """Return the largest quality whose training fits into the limit, with as many epochs as do.

    Args:
        proposals: configuration by quality, from the smallest to the largest.
        limit: seconds for everything, from ``began`` on.
        began: `time.monotonic` at the start.
        exports: whether the time of an export counts.
        console: shows what is measured and chosen.
        measure: measures a configuration.

    Raises:
        ConfigError: not even one epoch of the smallest quality fits.
    """
    best: TimePlan | None = None
    for quality, proposed in proposals.items():
        measured = measure(proposed)
        planned, after = int(proposed["train"]["epochs"]), measured.first * (EXPORT if exports else EVALUATION)
        left = _RESERVE * limit - (time.monotonic() - began) - after
        epochs = _epochs(measured, left)
        console.print(
            f"{quality}: {1000 * measured.step:.0f} ms a step, {measured.steps} steps an epoch, "
            f"{min(max(epochs, 0), planned)} of {planned} epochs fit",
            highlight=False,
        )
        if epochs < 1 and best is None:
            needed = (time.monotonic() - began + after + measured.training_seconds(1)) / _RESERVE
            raise ConfigError(f"time limit {shown(limit)}: one epoch of {quality!r} needs about {shown(needed)} in all")
        if best is not None and epochs < _ENOUGH * planned:
            break
        chosen = copy.deepcopy(proposed)
        chosen["train"] |= {"epochs": min(epochs, planned), "max_minutes": round(max(left, measured.first) / 60, 2)}
        expected = measured.training_seconds(min(epochs, planned)) + after
        best = TimePlan(quality, chosen, expected)
        if epochs < planned:  # a larger one has less time still
            break
    assert best is not None, "the first quality either fits or raises"
    return best


def _epochs(measured: Measured, seconds: float) -> int:
    each = measured.steps * measured.step + measured.between
    return int((seconds - measured.first + measured.between) / each) if each else 1
