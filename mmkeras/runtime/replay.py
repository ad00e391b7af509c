"""Outputs on the golden samples, held to what the export measured. numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmkeras.bundle.golden import Golden
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["Replay", "Tolerances", "replay"]

Tolerances = Mapping[str, Mapping[str, Sequence[float]]]
"""Largest absolute difference by scenario and output: one number, or one for each channel (last axis)."""


@dataclass(frozen=True)
class Replay:
    """How a file's outputs on the golden samples compare with those of the Keras model."""

    reason: str
    """Why the file fails; empty where it does not."""
    difference: float
    """Difference at the place that is nearest to its limit or furthest beyond it; infinite where not finite."""
    tolerance: float
    """What is allowed there."""
    shares: dict[str, float]
    """By scenario, the largest difference as a share of what is allowed; infinite where a value is not finite."""
    failed: tuple[str, ...]
    """Scenarios with a difference that is not allowed, or with a changed decision."""
    flipped: tuple[int, ...]
    """Rows with another decision than the Keras model's."""


def replay(
    task: TaskSpec, golden: Golden, outputs: Outputs, tolerances: Tolerances, flipped: Sequence[int] = ()
) -> Replay:
    """Hold outputs to the golden ones: every value within its tolerance, and every decision the same.

    Args:
        task: decides.
        golden: the samples.
        outputs: what a file gives for them, each (S, ...).
        tolerances: of the file. A scenario or output without one fails.
        flipped: rows on which the file's decision differed already when it was exported.
    """
    names = np.asarray(golden.scenarios)
    changed = np.flatnonzero(task.flips(golden.outputs, outputs))
    new = [int(row) for row in changed if row not in set(flipped)]
    shares: dict[str, float] = {}
    worst = (-1.0, 0.0, 0.0, "", "")
    for scenario in dict.fromkeys(golden.scenarios):
        rows = names == scenario
        for output, expected in golden.outputs.items():
            allowed = np.asarray(tolerances.get(scenario, {}).get(output, (0.0,)), np.float64)
            share, difference, limit = _worst(expected[rows], np.asarray(outputs[output])[rows], allowed)
            shares[scenario] = max(shares.get(scenario, 0.0), share)
            worst = max(worst, (share, difference, limit, output, scenario))
    share, difference, limit, output, scenario = worst
    reason = ""
    if not np.isfinite(difference):
        reason = f"{output} gives values that are not finite in scenario {scenario}"
    elif not share <= 1.0:
        reason = f"{output} differs by {difference:.3g} in scenario {scenario}, allowed {limit:.3g}"
    elif new:
        where = ", ".join(dict.fromkeys(golden.scenarios[row] for row in new))
        reason = f"decides differently on {len(new)} of {len(golden)} golden samples, in scenario {where}"
    failed = {name for name, value in shares.items() if not value <= 1.0} | {golden.scenarios[row] for row in new}
    return Replay(
        reason=reason,
        difference=difference,
        tolerance=limit,
        shares=shares,
        failed=tuple(name for name in shares if name in failed),
        flipped=tuple(int(row) for row in changed),
    )


def _worst(expected: np.ndarray, got: np.ndarray, allowed: np.ndarray) -> tuple[float, float, float]:
    """Return the largest difference as a share of what is allowed, the difference itself and what is allowed there."""
    if expected.shape != got.shape or allowed.size not in (1, expected.shape[-1]):
        return np.inf, np.inf, 0.0
    difference = np.abs(np.asarray(expected, np.float64) - np.asarray(got, np.float64))
    difference = np.where(np.isfinite(difference), difference, np.inf)
    limits = np.broadcast_to(allowed, difference.shape)
    # Nothing allowed and no difference is within the limit.
    share = np.where(difference == 0.0, 0.0, difference / np.maximum(limits, np.finfo(np.float64).tiny))
    place = np.unravel_index(int(np.argmax(share)), share.shape)
    return float(share[place]), float(difference[place]), float(limits[place])
