"""Paired rounds: in each round every way is measured once, so that a busy machine disturbs all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["paired", "ratio_of"]


def paired(ways: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return the figures ``cpu`` and ``wall`` of each way in every round, after one round that does not count.

    Every second round goes through the ways backwards.
    """
    figures: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in ways}
    for turn in range(rounds + 1):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            found = ways[name]()
            for unit, values in figures[name].items():
                if turn:
                    values.append(float(found[unit]))
    return figures


def ratio_of(
    figures: Mapping[str, Mapping[str, list[float]]], ours: str, others: tuple[str, ...], unit: str = "cpu"
) -> dict[str, Any]:
    """Return the median over the rounds of ours / the best of the others, which has the smallest median of its own.

    Returns:
        ``ratio``; ``low`` and ``high``, a distribution-free interval of the median: the second smallest and second
        largest round, 96 % with nine rounds and more with more; ``best``, the name of the best other.
    """
    best = min(others, key=lambda name: statistics.median(figures[name][unit]))
    ratios = sorted(a / b for a, b in zip(figures[ours][unit], figures[best][unit], strict=True))
    inner = ratios[1:-1] or ratios
    return {"ratio": statistics.median(ratios), "low": inner[0], "high": inner[-1], "best": best}
