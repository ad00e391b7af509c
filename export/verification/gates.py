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
  One value in 100,000 may differ by ten times the tolerance: rounding has no largest error, and an output with many
  values (maps) would exceed any limit by chance. Below 100,000 values every one is held.
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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.verification.differences import FEW
from export.verification.verify import CLOSE
from mmkeras.core.errors import ConfigError
from mmkeras.tasks import TaskSpec

__all__ = [
    "CHANCE",
    "FEW_TIMES",
    "GATES",
    "RARE",
    "RULES",
    "SLICE_CHANCE",
    "WHOLE_CHANCE",
    "Gate",
    "gates_of",
    "tightened",
]

CHANCE = 0.01
"""Largest loss of the metric beyond its limit that is put down to chance in a degraded scenario, as a share."""
WHOLE_CHANCE = 0.0025
"""The same where everything is there."""
SLICE_CHANCE = 0.10
"""The same in a slice."""
RARE = 1e-4
"""A slice with more changed decisions than all but this share of slices of a file at its limit fails."""
FEW_TIMES = 10
"""Of the values of an output in float32, one in 100,000 may differ by so many times the tolerance."""
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
    "float32_share_of_values": FEW,
    "float32_share_of_values_times": FEW_TIMES,
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
