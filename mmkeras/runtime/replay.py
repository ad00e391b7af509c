"""Compares a file's outputs on the golden samples with those of the export. Needs only numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.bundle.golden import Golden
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["Replay", "Tolerances", "answers_of", "compare_answers", "input_difference", "replay"]

Tolerances = Mapping[str, Mapping[str, Sequence[float]]]
"""Largest absolute difference by scenario and output: one number, or one for each channel (last axis)."""
# Another build of libjpeg may round a pixel to the next level, another maths library the last bit of a float.
_PIXEL_LEVELS = 1.0
"""Largest difference of an 8-bit pixel to training: a tie may be rounded up or down."""
_ROUNDED_SHARE = 0.05
"""Share of the pixels that may differ: ties are rare."""
_RELATIVE = 1e-5
"""Largest difference of a float, as a share of the tensor's largest value or of 1."""
_CLOSE = 1e-6


@dataclass(frozen=True)
class Replay:
    """A file's outputs on the golden samples, compared with those of the Keras model."""

    reason: str
    """Why the file fails; empty if it passes."""
    difference: float
    """The difference with the largest share of its limit; infinite if a value is not finite."""
    tolerance: float
    """The limit of this difference."""
    shares: dict[str, float]
    """Largest difference by scenario, as a share of its limit; infinite if a value is not finite."""
    failed: tuple[str, ...]
    """Scenarios with a difference beyond its limit, or with a changed decision."""
    flipped: tuple[int, ...]
    """Rows whose decision differs from the Keras model's."""


def replay(
    task: TaskSpec, golden: Golden, outputs: Outputs, tolerances: Tolerances, flipped: Sequence[int] = ()
) -> Replay:
    """Compare outputs with the golden ones: every value must be within its tolerance, and every decision the same.

    Without a tolerance no difference is allowed. ``flipped`` holds the rows whose decision already differed at export.
    """
    names = np.asarray(golden.scenarios)
    changed = np.flatnonzero(task.flips(golden.outputs, outputs))
    new = [int(row) for row in changed if row not in flipped]
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
        reason = f"{output} has values that are not finite in scenario {scenario}"
    elif not share <= 1.0:
        reason = f"{output} differs by {difference:.3g} in scenario {scenario}, allowed {limit:.3g}"
    elif new:
        where = ", ".join(dict.fromkeys(golden.scenarios[row] for row in new))
        reason = f"the decision changed on {len(new)} of {len(golden)} golden samples, in scenario {where}"
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
    """Return the largest difference as a share of its limit, the difference itself and its limit."""
    if expected.shape != got.shape or allowed.size not in (1, expected.shape[-1]):
        return np.inf, np.inf, 0.0
    difference = np.abs(np.asarray(expected, np.float64) - np.asarray(got, np.float64))
    difference = np.where(np.isfinite(difference), difference, np.inf)
    limits = np.broadcast_to(allowed, difference.shape)
    # A difference of 0 is within a limit of 0.
    share = np.where(difference == 0.0, 0.0, difference / np.maximum(limits, np.finfo(np.float64).tiny))
    place = np.unravel_index(int(np.argmax(share)), share.shape)
    return float(share[place]), float(difference[place]), float(limits[place])


def input_difference(expected: np.ndarray, got: np.ndarray) -> tuple[float, float]:
    """Return one tensor's largest difference to training (infinite if a value is not finite) and its limit."""
    if expected.shape != got.shape:
        return float("inf"), 0.0
    first, second = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    apart = np.abs(first - second)
    difference = float(np.where(np.isfinite(apart), apart, np.inf).max(initial=0.0))
    if expected.dtype == np.uint8:
        return difference, _PIXEL_LEVELS if float((first != second).mean()) <= _ROUNDED_SHARE else 0.0
    if np.issubdtype(expected.dtype, np.integer):
        return difference, 0.0
    return difference, _RELATIVE * max(1.0, float(np.abs(first).max(initial=0.0)))


def answers_of(task: TaskSpec, golden: Golden) -> dict[str, Any]:
    """Return the task's answers to the golden outputs and their metric, as stored in ``golden/answers.json``.

    Only samples of the scenario ``all`` are scored.
    """
    rows = np.flatnonzero(np.asarray(golden.scenarios) == "all")
    part = {name: value[rows] for name, value in golden.outputs.items()}
    score = task.score(golden.targets[rows], part)[task.metric] if len(rows) else math.nan
    return {"answers": task.decode(golden.outputs), "metric": float(score) if math.isfinite(score) else None}


def compare_answers(task: TaskSpec, golden: Golden, kept: dict[str, Any]) -> str:
    """Return how the task's answers differ from those of the export, ``kept``; empty if they are equal.

    This finds a manifest with reordered labels, which gives the same numbers and other words.
    """
    now = answers_of(task, golden)
    before = kept.get("answers")
    if not isinstance(before, list) or len(before) != len(now["answers"]):
        return f"expected {len(now['answers'])} answers, got {len(before) if isinstance(before, list) else 'none'}"
    for key, was, found in zip(golden.keys, before, now["answers"], strict=True):
        if not _same(was, found):
            return f"{key}: the export answered {was!r:.80}, the manifest's task answers {found!r:.80}"
    if not _same(kept.get("metric"), now["metric"]):
        return f"{task.metric} of the golden samples was {kept.get('metric')}, and is {now['metric']}"
    return ""


def _same(first: Any, second: Any) -> bool:
    """Return whether two JSON values are equal, with a tolerance for the rounding of numbers."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(value, second[name]) for name, value in first.items())
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(_same(a, b) for a, b in zip(first, second, strict=True))
    if isinstance(first, int | float) and isinstance(second, int | float) and not isinstance(first, bool):
        return math.isclose(first, second, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return bool(first == second)
