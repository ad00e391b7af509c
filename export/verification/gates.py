"""The gates: how far an exported file may be from the Keras model.

| precision | difference | noise | decisions changed in ``all`` / elsewhere / with ties | loss of metric | calibration |
|---|---|---|---|---|---|
| float32 | the format's tolerance | | none | | |
| float16 | | 0.02 | 0.5 % / 0.5 % / 2 % | | 1 point |
| int8-weights, int8-dynamic | | 0.15 | 2 % / 5 % / 25 % | 0.5 point | 2 points |
| int8, int8-full | | 0.5 | 2 % / 10 % / 25 % | 0.5 point | 4 points |

Every limit holds in every modality scenario, and any output that is NaN or infinite fails.

- **Difference**: of each value, as a share of the largest of 1, the value itself and four times the root mean square of
  its channel; so a regression in metres and one in millimetres are alike, and one large value does not excuse others.
- **Noise**: root mean square difference of each output as a share of how much that output varies over the samples.
  Each output is held by itself: metres of depth do not set the limit of a heatmap.
- **Decisions changed**: a share of the samples; in int8 always at least two samples. With a modality taken away the
  Keras model guesses, and what it guesses is often a near tie: its confidence in its own decision is at most 0.05 above
  that in the other. These are set aside outside ``all``, in the count as in the metric; with them the share of
  changed decisions has a limit of its own.
- **Metric**: in points, a hundredth of the task's metric (a regression's is a share of the targets' standard
  deviation, lower is better). The loss may exceed the limit by chance: in ``all`` by one standard error, at most a
  quarter of a point or one sample; in the other scenarios by two standard errors, at most 1 point or one sample. The
  standard error is that of the difference between file and Keras model on the same samples, groups of samples drawn
  anew (paired cluster bootstrap).
- **Slices** of ``all`` with 30 samples or more: the loss may exceed the limit by three standard errors, since the worst
  of many is looked at, at most by 10 points; and no more decisions may change than a file at its limit changes in one
  of 10,000 slices of that size.
- **Calibration**: how much the expected calibration error may grow beyond what one sample makes, where outputs are
  confidences.

The constants of a file are held to those of the float32 file of its format, see `export.verification.constants`.

A budget given by the user, ``max_metric_drop`` and ``max_flips``, takes the place of the metric's limit everywhere and
of the share of changed decisions in ``all``, for every precision but float32.

A task says with ``gated_by`` how decisions are counted: those of a regression (``tolerance``) are not counted in int8;
those of a detection (``metric``) change with a centimetre in one of many boxes, so that float16 is held to a loss of
0.2 point of the metric, too, and decisions are counted in float32 alone.

A float32 flip counts even where the Keras model itself is within the tolerance of a tie.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from export.verification.results import ScenarioResult, SliceResult
from export.verification.scenarios import ALL
from export.verification.verify import CLOSE
from mmkeras.core.errors import ConfigError
from mmkeras.tasks import TaskSpec

__all__ = ["GATES", "RULES", "Gate", "allowed_drop", "gates_of", "judge", "tightened"]

CHANCE = 0.01
"""Largest loss of the metric beyond its limit that is put down to chance in a degraded scenario, as a share."""
WHOLE_CHANCE = 0.0025
"""The same where everything is there."""
SLICE_CHANCE = 0.10
"""The same in a slice."""
RARE = 1e-4
"""A slice with more changed decisions than all but this share of slices of a file at its limit fails."""
FEW_FLIPS = 2
"""Changed decisions that int8 may have among however few samples."""


@dataclass(frozen=True)
class Gate:
    """Limits of one precision; ``None`` where a quantity is only reported."""

    exact: bool = False
    """Hold every difference to the format's float32 tolerance."""
    noise: float | None = None
    """Largest root mean square difference of an output, as a share of its spread."""
    flips: float | None = None
    """Largest share of changed decisions where everything is there."""
    flips_elsewhere: float | None = None
    """Largest share of changed decisions in every other scenario, near ties set aside where the next one is given."""
    flips_and_ties: float | None = None
    """Largest share of changed decisions in every other scenario, near ties among them."""
    few_flips: int = 0
    """Changed decisions that are allowed among however few samples."""
    metric_drop: float | None = None
    """Largest loss of the task metric, as a share: 0.005 is half a point."""
    calibration: float | None = None
    """Largest growth of the expected calibration error."""


_INT8 = Gate(flips=0.02, flips_and_ties=0.25, few_flips=FEW_FLIPS, metric_drop=0.005)
_WEIGHTS = dataclasses.replace(_INT8, noise=0.15, flips_elsewhere=0.05, calibration=0.02)
_STATIC = dataclasses.replace(_INT8, noise=0.5, flips_elsewhere=0.10, calibration=0.04)
GATES: dict[str, Gate] = {
    "float32": Gate(exact=True, flips=0.0, flips_elsewhere=0.0),
    "float16": Gate(noise=0.02, flips=0.005, flips_elsewhere=0.005, flips_and_ties=0.02, calibration=0.01),
    **dict.fromkeys(("int8-weights", "int8-dynamic"), _WEIGHTS),
    **dict.fromkeys(("int8", "int8-full"), _STATIC),
}
"""Limits by precision."""
RULES = {
    "near_tie_margin": CLOSE,
    "chance_points_all": 100 * WHOLE_CHANCE,
    "chance_standard_errors_all": 1,
    "chance_points": 100 * CHANCE,
    "chance_standard_errors": 2,
    "slice_chance_points": 100 * SLICE_CHANCE,
    "slice_standard_errors": 3,
    "slice_flips_quantile": 1 - RARE,
    "constants_rounding_steps": 0.5,
}
"""How limits are applied, for ``export.json``."""


def gates_of(
    task: TaskSpec, max_metric_drop: float | None = None, max_flips: float | None = None
) -> Mapping[str, Gate]:
    """Return the limits by precision that a task's files are held to.

    Args:
        task: its decisions may be too fine to count.
        max_metric_drop: largest loss of the metric, in points; the precision's own when not given.
        max_flips: largest share of changed decisions where everything is there, in percent; the precision's own when
            not given.

    Raises:
        ConfigError: a budget below zero.
    """
    for name, value in (("max_metric_drop", max_metric_drop), ("max_flips", max_flips)):
        if value is not None and not 0 <= value <= 100:
            raise ConfigError(f"{name}: expected a number from 0 to 100, got {value}")
    gates = {name: _for_task(task, name, gate) for name, gate in GATES.items()}
    changes: dict[str, Any] = {}
    if max_metric_drop is not None:
        changes["metric_drop"] = max_metric_drop / 100
    if max_flips is not None:
        changes |= {"flips": max_flips / 100, "few_flips": 0}
    return {name: gate if gate.exact else dataclasses.replace(gate, **changes) for name, gate in gates.items()}


def _for_task(task: TaskSpec, precision: str, gate: Gate) -> Gate:
    if gate.exact or task.gated_by == "decisions" or (task.gated_by == "tolerance" and precision == "float16"):
        return gate
    drop = 0.002 if precision == "float16" else gate.metric_drop
    return dataclasses.replace(gate, flips=None, flips_elsewhere=None, flips_and_ties=None, metric_drop=drop)


def tightened(gates: Mapping[str, Gate], share: float) -> dict[str, Gate]:
    """Return limits that are a share of the given ones; the count that any file may flip stays."""

    def part(value: float | None) -> float | None:
        return None if value is None else value * share

    return {
        name: dataclasses.replace(
            gate,
            noise=part(gate.noise),
            flips=part(gate.flips),
            flips_elsewhere=part(gate.flips_elsewhere),
            flips_and_ties=part(gate.flips_and_ties),
            metric_drop=part(gate.metric_drop),
            calibration=part(gate.calibration),
        )
        for name, gate in gates.items()
    }


def judge(
    precision: str,
    tolerance: float,
    results: Mapping[str, ScenarioResult],
    metric: str,
    sign: int,
    gates: Mapping[str, Gate] = GATES,
    *,
    searching: bool = False,
) -> str:
    """Return why a file may not ship; empty if it may.

    Args:
        precision: one of `GATES`.
        tolerance: the format's largest float32 difference.
        results: by scenario.
        metric: name of the task metric, for the message.
        sign: 1 where a higher metric is better, -1 where a lower one is.
        gates: the task's, see `gates_of`.
        searching: the results are of a search's samples, fewer than those of the verification: twice the standard error
            of a count of flips is allowed, so that the search ignores what its samples cannot tell from chance.
    """
    gate = gates[precision]
    problems = [] if results.get(ALL) else [f"not verified in the scenario {ALL!r}"]
    for name, result in results.items():
        for problem in _problems(gate, tolerance, name, result, metric, sign, searching):
            problems.append(f"{name}: {problem}")
    return "; ".join(problems)


def _problems(
    gate: Gate, tolerance: float, name: str, result: ScenarioResult, metric: str, sign: int, searching: bool
) -> list[str]:
    if result.samples == 0:
        return ["no samples"]
    if result.not_finite:
        return [f"{result.not_finite} output values are NaN or infinite"]
    problems = [] if result.outputs else ["no output was compared"]
    for output, found in result.outputs.items():
        if gate.exact and not found.relative <= tolerance:
            problems.append(
                f"{output} differs by {found.max_abs:.2g}, relative {found.relative:.2g}, allowed {tolerance:.2g}"
            )
        if gate.noise is not None and not found.noise <= gate.noise:
            problems.append(f"{output}: noise {found.noise:.2g} of its spread, allowed {gate.noise:.2g}")
    problems += _flip_problems(gate, name, result, searching)
    if gate.metric_drop is not None:
        drop, allowed = -sign * result.held, allowed_drop(gate, name, result)
        # 1e-9: half a point exactly must pass in floating point too.
        if not drop <= allowed + 1e-9:
            problems.append(f"{metric} {100 * drop:.2f} points worse, allowed {100 * allowed:.2f}")
        problems += _slice_problems(gate, result, metric, sign)
    grown = result.calibration_change
    if gate.calibration is not None and grown is not None:
        allowed = gate.calibration + 1 / result.samples
        if not grown <= allowed + 1e-9:
            problems.append(
                f"calibration error grows by {100 * grown:.1f} points, allowed {100 * allowed:.1f}: confidences no "
                "longer say how often the file is right"
            )
    return problems


def _flip_problems(gate: Gate, name: str, result: ScenarioResult, searching: bool) -> list[str]:
    if name == ALL:
        limits = [(gate.flips, result.flips, "")]
    elif gate.flips_and_ties is None:
        limits = [(gate.flips_elsewhere, result.flips, "")]
    else:
        limits = [
            (gate.flips_elsewhere, result.flips - result.close, ", near ties set aside"),
            (gate.flips_and_ties, result.flips, ", near ties among them"),
        ]
    problems = []
    for share, changed, what in limits:
        flips = (share or 0.0) * result.samples
        allowed = max(flips + (2 * math.sqrt(flips) if searching else 0.0), gate.few_flips)
        if share is not None and changed > allowed:
            problems.append(f"{changed} of {result.samples} decisions changed{what}, allowed {share:.1%}")
    return problems


def _slice_problems(gate: Gate, result: ScenarioResult, metric: str, sign: int) -> list[str]:
    """Return what is wrong with the worst slice; how many more are beyond their limits is only counted."""
    beyond = []
    for part in result.slices:
        drop = -sign * part.metric_change
        allowed = (gate.metric_drop or 0.0) + min(3 * part.metric_error, SLICE_CHANCE)
        where = f"on the {part.samples} samples with {part.name}"
        if not drop <= allowed + 1e-9:
            beyond.append(f"{metric} {100 * drop:.2f} points worse {where}, allowed {100 * allowed:.2f}")
        elif gate.flips is not None and part.flips > (most := _most_flips(part, gate.flips, gate.few_flips)):
            beyond.append(f"{part.flips} decisions changed {where}, allowed {most}")
    return [beyond[0] + (f" ({len(beyond) - 1} more slices alike)" if len(beyond) > 1 else "")] if beyond else []


def _most_flips(part: SliceResult, share: float, few: int) -> int:
    return max(_binomial_quantile(part.samples, share), few)


@lru_cache(maxsize=1024)
def _binomial_quantile(samples: int, share: float) -> int:
    """Return the changed decisions that a file at its limit exceeds in a share `RARE` of slices of this size."""
    from scipy.stats import binom

    return int(binom.ppf(1 - RARE, samples, share))


def allowed_drop(gate: Gate, name: str, result: ScenarioResult) -> float:
    """Return by how much the metric may drop in a scenario, as a share; 1 where the gate does not hold the metric.

    Args:
        gate: of the precision.
        name: the scenario.
        result: what was measured there.
    """
    if gate.metric_drop is None:
        return 1.0
    error = result.metric_error or 0.0
    if name == ALL:
        return gate.metric_drop + min(error, max(WHOLE_CHANCE, 1 / result.samples))
    return gate.metric_drop + min(2 * error, max(CHANCE, 1 / result.samples))
