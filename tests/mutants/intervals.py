"""Exact intervals of a share."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["clopper_pearson"]


def clopper_pearson(hits: int, tried: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share; (0, 1) where nothing was tried."""
    tail = (1 - confidence) / 2
    low = _root(lambda share: _at_most(tried - hits, tried, 1 - share) - tail) if hits else 0.0
    high = _root(lambda share: tail - _at_most(hits, tried, share)) if hits < tried else 1.0
    return low, high


def _at_most(hits: int, tried: int, share: float) -> float:
    """Return the chance of at most so many hits."""
    if share in (0.0, 1.0):
        return float(share == 0.0 or hits >= tried)
    logs = (
        math.lgamma(tried + 1) - math.lgamma(k + 1) - math.lgamma(tried - k + 1)
        + k * math.log(share) + (tried - k) * math.log1p(-share)
        for k in range(hits + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, logs))


def _root(rising: Callable[[float], float]) -> float:
    """Return where a function that rises from below zero to above it between 0 and 1 is zero."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2
