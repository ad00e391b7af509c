"""The gates: how much an exported file may differ from the Keras model.

| precision | difference | noise | decisions changed in ``all`` / elsewhere / with ties | loss of metric | calibration |
|---|---|---|---|---|---|
| float32 | the format's tolerance | | none | | |
| float16 | | 0.02 | 0.5 % / 0.5 % / 2 % | | 1 point |
| int8-weights, int8-dynamic | | 0.15 | 2 % / 5 % / 25 % | 0.5 point | 2 points |
| int8, int8-full | | 0.5 | 2 % / 10 % / 25 % | 0.5 point | 4 points |

Every limit holds in every modality scenario, and any output that is NaN or infinite fails.

- **Difference** of each value, as a share of the largest of 1, the value itself and four times the root mean square of
  its channel. So the limit does not depend on the unit, and one large value does not widen it for other channels. One
  value in 100,000 may differ by ten times the tolerance: rounding has no largest error, and an output with many
  values (maps of pixels) would exceed any limit by chance. Below 100,000 values the tolerance holds for all.
- **Noise**: root mean square difference of each output as a share of how much that output varies over the samples.
  Each output has its own limit: metres of depth do not set the limit of a heatmap.
- **Decisions changed**: a share of the samples; int8 may always change two. Without a modality, the Keras model's
  decision is often a near tie: its confidence in it is at most 0.05 above that in the file's decision. Near ties
  outside ``all`` are left out of the count and of the metric; the share with near ties has a second limit.
- **Metric**: in points, a hundredth of the task's metric (a regression's is a share of the targets' standard
  deviation, lower is better). The loss may exceed the limit by chance: in ``all`` by one standard error, at most a
  quarter of a point or one sample; in the other scenarios by two standard errors, at most 1 point or one sample. It is
  the standard error of the difference between file and Keras model on the same samples (paired cluster bootstrap).
- **Slices** of ``all`` with 30 samples or more: the loss may exceed the limit by three standard errors, because the
  worst of many slices is compared, and by at most 10 points. No more decisions may change than a file at its limit
  changes in one of 10,000 slices of that size.
- **Calibration**: growth of the expected calibration error beyond the effect of one sample, where outputs are
  confidences.

The constants of a file are compared with the float32 file's, see `export.verification.constants`.

A user's budget, ``max_metric_drop`` and ``max_flips``, replaces the metric's limit in every scenario and the share of
changed decisions in ``all``, for every precision but float32.

A task's ``gated_by`` says how decisions are counted. Those of a regression (``tolerance``) are not counted in int8.
Those of a detection (``metric``) change with a centimetre in one of many boxes: they are counted in float32 alone, and
float16 has a limit of 0.2 points of metric loss.

A changed decision in float32 counts even where the Keras model itself is within the tolerance of a tie.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.verification.differences import LEFT_OUT
from export.verification.verify import CLOSE
from mmkeras.core.errors import ConfigError
from mmkeras.tasks import TaskSpec

__all__ = [
    "CHANCE",
    "LEFT_OUT_FACTOR",
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
"""Largest loss of the metric beyond its limit that may be chance outside ``all``, as a share."""
WHOLE_CHANCE = 0.0025
"""The same in ``all``."""
SLICE_CHANCE = 0.10
"""The same in a slice."""
RARE = 1e-4
"""Share of the slices of a file at its limit in which more decisions may change than are allowed."""
LEFT_OUT_FACTOR = 10
"""One value in 100,000 of a float32 output may differ by this many times the tolerance."""
FEW_FLIPS = 2
"""Changed decisions that int8 may always have, however few the samples."""


@dataclass(frozen=True)
class Gate:
    """Limits of one precision; ``None`` where a quantity is only reported."""

    exact: bool = False
    """Whether the format's float32 tolerance limits every difference."""
    noise: float | None = None
    """Largest root mean square difference of an output, as a share of its spread."""
    flips: float | None = None
    """Largest share of changed decisions in the scenario ``all``."""
    flips_elsewhere: float | None = None
    """Largest share of changed decisions in every other scenario; without near ties where ``flips_and_ties`` is set."""
    flips_and_ties: float | None = None
    """Largest share of changed decisions in every other scenario, with near ties."""
    few_flips: int = 0
    """Changed decisions that are always allowed, however few the samples."""
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
    "float32_share_of_values": LEFT_OUT,
    "float32_share_of_values_times": LEFT_OUT_FACTOR,
}
"""How limits are applied, for ``export.json``."""


def gates_of(
    task: TaskSpec, max_metric_drop: float | None = None, max_flips: float | None = None
) -> Mapping[str, Gate]:
    """Return the limits by precision for a task.

    Args:
        task: its ``gated_by`` says how decisions are counted.
        max_metric_drop: largest loss of the metric, in points; the precision's own limit when not given.
        max_flips: largest share of changed decisions in ``all``, in percent; the precision's own limit when not given.

    Raises:
        ConfigError: a budget below 0 or above 100.
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
    """Return gates whose limits are a share of the given ones; ``few_flips`` stays."""
    limits = ("noise", "flips", "flips_elsewhere", "flips_and_ties", "metric_drop", "calibration")
    found = {}
    for name, gate in gates.items():
        changes: dict[str, Any] = {k: value * share for k in limits if (value := getattr(gate, k)) is not None}
        found[name] = dataclasses.replace(gate, **changes)
    return found
