"""The gates: how far an exported file may be from the Keras model.

| precision | in every scenario | in the scenario ``all`` | in the other scenarios |
|---|---|---|---|
| float32 | no flipped decision; difference at most the format's tolerance | | |
| float16 | decisions flipped on at most 0.5 % of the samples | | |
| int8-dynamic | | metric drops by at most 0.5 point | 0.5 point beyond what its flips explain by chance |

Any output that is NaN or infinite fails. With a modality taken away many samples are near a tie, and int8 flips
them in both directions: each flip moves the metric of N samples by up to 1/N, so ``f`` flips without a preference
move it by about ``sqrt(f) / N``, and twice that is allowed on top. Flips that all go the wrong way still fail.

A task may say with ``gated_by = "metric"`` that its decisions are too fine to count one by one: a detection changes
with a centimetre in one of many boxes. Its float16 files then lose at most 0.2 point of the metric; in the other
scenarios both precisions are allowed twice the standard error of the loss on top, from samples drawn anew, file and
Keras model on the same ones. Its float32 files must still give the same detections.

A float32 flip counts even where the Keras model itself is within the tolerance of a tie. A point is a hundredth of
the task's metric, which has no unit (a regression's is a share of the targets' standard deviation, lower is better).
A float32 difference is relative to the largest output where that is above 1, so that a regression in metres and one in
millimetres are alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from export.results import ScenarioResult, max_or_nan
from export.scenarios import ALL
from mmkeras.tasks import TaskSpec

__all__ = ["GATES", "METRIC_GATES", "Gate", "device_tolerance", "gates_of", "judge"]


@dataclass(frozen=True)
class Gate:
    """Limits of one precision; ``None`` where a quantity is only reported."""

    exact: bool = False
    """Hold the largest difference to the format's float32 tolerance."""
    flip_share: float | None = None
    """Largest share of flipped decisions."""
    metric_drop: float | None = None
    """Largest loss of the task metric, as a share: 0.005 is half a point."""


GATES: dict[str, Gate] = {
    "float32": Gate(exact=True, flip_share=0.0),
    "float16": Gate(flip_share=0.005),
    "int8-dynamic": Gate(metric_drop=0.005),
}
"""Limits by precision."""
METRIC_GATES: dict[str, Gate] = {**GATES, "float16": Gate(metric_drop=0.002)}
"""Limits for a task that is gated by its metric."""


def gates_of(task: TaskSpec) -> dict[str, Gate]:
    """Return the limits by precision that a task's files are held to."""
    return METRIC_GATES if task.gated_by == "metric" else GATES


def judge(
    precision: str,
    tolerance: float,
    results: Mapping[str, ScenarioResult],
    metric: str,
    sign: int,
    gates: Mapping[str, Gate] = GATES,
) -> str:
    """Return why a file may not ship; empty if it may.

    Args:
        precision: one of `GATES`.
        tolerance: the format's largest float32 difference.
        results: by scenario.
        metric: name of the task metric, for the message.
        sign: 1 where a higher metric is better, -1 where a lower one is.
        gates: the task's, see `gates_of`.
    """
    gate = gates[precision]
    problems = [] if results.get(ALL) else [f"not verified in the scenario {ALL!r}"]
    for name, result in results.items():
        for problem in _problems(gate, tolerance, name, result, metric, sign):
            problems.append(f"{name}: {problem}")
    return "; ".join(problems)


def _problems(gate: Gate, tolerance: float, name: str, result: ScenarioResult, metric: str, sign: int) -> list[str]:
    if result.samples == 0:
        return ["no samples"]
    if result.not_finite:
        return [f"{result.not_finite} output values are NaN or infinite"]
    problems = []
    limit = tolerance * result.scale
    if gate.exact and not result.max_abs_diff <= limit:
        problems.append(f"max difference {result.max_abs_diff:.2g} > {limit:.2g}")
    if gate.flip_share is not None and result.flips > gate.flip_share * result.samples:
        problems.append(f"{result.flips} of {result.samples} decisions flipped, allowed {gate.flip_share:.1%}")
    if gate.metric_drop is not None:
        drop = -sign * result.metric_change
        allowed = gate.metric_drop + (0.0 if name == ALL else 2 * _chance(result))
        # 1e-9: half a point exactly must pass in floating point too.
        if not drop <= allowed + 1e-9:
            problems.append(f"{metric} {100 * drop:.2f} points worse, allowed {100 * allowed:.2f}")
    return problems


def _chance(result: ScenarioResult) -> float:
    """Return by how much the metric moves by chance."""
    return math.sqrt(result.flips) / result.samples if result.metric_error is None else result.metric_error


def device_tolerance(precision: str, tolerance: float, results: Mapping[str, ScenarioResult]) -> float:
    """Return the largest difference to the golden outputs that a self-test on a device accepts.

    For float32 it is the gate. The reduced precisions have no gate on differences: twice the largest one that
    verification saw, at least 1e-3, because other processors round in another order.
    """
    if GATES[precision].exact:
        return tolerance * max([result.scale for result in results.values()], default=1.0)
    seen = max_or_nan([result.max_abs_diff for result in results.values()])
    return max(2 * seen, 1e-3) if math.isfinite(seen) else 0.0
