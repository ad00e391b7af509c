"""The gates: how far an exported file may be from the Keras model.

| precision | in every scenario | in the scenario ``all`` | in the other scenarios |
|---|---|---|---|
| float32 | no flipped decision; difference at most the format's tolerance | | |
| float16 | decisions flipped on at most 0.5 % of the samples | | |
| every int8 | | metric drops by at most 0.5 point | 0.5 point beyond what its flips explain by chance |

A budget given by the user, ``max_metric_drop`` and ``max_flips``, takes the place of these limits for every precision
but float32; its share of flips holds where everything is there. The metric is held in every slice of the test data,
too: in the worst one it may drop by the limit and three times what chance explains, since that is the worst of many.

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

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from export.results import ScenarioResult, SliceResult, max_or_nan
from export.scenarios import ALL
from mmkeras.errors import ConfigError
from mmkeras.tasks import TaskSpec

__all__ = ["GATES", "METRIC_GATES", "Gate", "allowed_drop", "device_tolerance", "gates_of", "judge", "tightened"]


@dataclass(frozen=True)
class Gate:
    """Limits of one precision; ``None`` where a quantity is only reported."""

    exact: bool = False
    """Hold the largest difference to the format's float32 tolerance."""
    flip_share: float | None = None
    """Largest share of flipped decisions."""
    flips_everywhere: bool = True
    """Whether that share holds in every scenario, or only where everything is there."""
    metric_drop: float | None = None
    """Largest loss of the task metric, as a share: 0.005 is half a point."""


GATES: dict[str, Gate] = {
    "float32": Gate(exact=True, flip_share=0.0),
    "float16": Gate(flip_share=0.005),
    **dict.fromkeys(("int8", "int8-full", "int8-weights", "int8-dynamic"), Gate(metric_drop=0.005)),
}
"""Limits by precision."""
METRIC_GATES: dict[str, Gate] = {**GATES, "float16": Gate(metric_drop=0.002)}
"""Limits for a task that is gated by its metric."""


def gates_of(
    task: TaskSpec, max_metric_drop: float | None = None, max_flips: float | None = None
) -> Mapping[str, Gate]:
    """Return the limits by precision that a task's files are held to.

    Args:
        task: its decisions may be too fine to count.
        max_metric_drop: largest loss of the metric, in points; the precision's own when not given.
        max_flips: largest share of flipped decisions where everything is there, in percent; the precision's own when
            not given.

    Raises:
        ConfigError: a budget below zero.
    """
    for name, value in (("max_metric_drop", max_metric_drop), ("max_flips", max_flips)):
        if value is not None and not 0 <= value <= 100:
            raise ConfigError(f"{name}: expected a number from 0 to 100, got {value}")
    gates = METRIC_GATES if task.gated_by == "metric" else GATES
    if max_metric_drop is None and max_flips is None:
        return gates
    changes: dict[str, float | bool | None] = {}
    if max_metric_drop is not None:
        changes["metric_drop"] = max_metric_drop / 100
    if max_flips is not None:
        changes |= {"flip_share": max_flips / 100, "flips_everywhere": False}
    return {name: gate if gate.exact else _replace(gate, changes) for name, gate in gates.items()}


def tightened(gates: Mapping[str, Gate], share: float) -> dict[str, Gate]:
    """Return limits that are a share of the given ones."""
    return {
        name: dataclasses.replace(
            gate,
            flip_share=None if gate.flip_share is None else gate.flip_share * share,
            metric_drop=None if gate.metric_drop is None else gate.metric_drop * share,
        )
        for name, gate in gates.items()
    }


def _replace(gate: Gate, changes: Mapping[str, float | bool | None]) -> Gate:
    changed: Gate = dataclasses.replace(gate, **changes)  # type: ignore[arg-type]
    return changed


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
        searching: the results are of a search's samples, fewer than those of the verification: the standard error of
            the loss, where it is known, is allowed everywhere, and twice that of a count of flips, so that the search
            does not run after chance.
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
    problems = []
    limit = tolerance * result.scale
    if gate.exact and not result.max_abs_diff <= limit:
        problems.append(f"max difference {result.max_abs_diff:.2g} > {limit:.2g}")
    held = gate.flips_everywhere or name == ALL
    if gate.flip_share is not None and held:
        flips = gate.flip_share * result.samples
        if result.flips > flips + (2 * math.sqrt(flips) if searching else 0.0):
            problems.append(f"{result.flips} of {result.samples} decisions flipped, allowed {gate.flip_share:.1%}")
    if gate.metric_drop is not None:
        drop, allowed = -sign * result.metric_change, allowed_drop(gate, name, result, searching=searching)
        # 1e-9: half a point exactly must pass in floating point too.
        if not drop <= allowed + 1e-9:
            problems.append(f"{metric} {100 * drop:.2f} points worse, allowed {100 * allowed:.2f}")
        problems += _slice_problems(gate.metric_drop, result, metric, sign)
    return problems


def _slice_problems(limit: float, result: ScenarioResult, metric: str, sign: int) -> list[str]:
    """Return what is wrong with the worst slice; how many more are beyond their limits is only counted."""
    beyond = []
    for part in result.slices:
        drop, allowed = -sign * part.metric_change, limit + 3 * _chance_in(part, result)
        if not drop <= allowed + 1e-9:
            beyond.append(
                f"{metric} {100 * drop:.2f} points worse on the {part.samples} samples with {part.name}, allowed "
                f"{100 * allowed:.2f}"
            )
    return [beyond[0] + (f" ({len(beyond) - 1} more slices alike)" if len(beyond) > 1 else "")] if beyond else []


def allowed_drop(gate: Gate, name: str, result: ScenarioResult, *, searching: bool = False) -> float:
    """Return by how much the metric may drop in a scenario, as a share; 1 where the gate does not hold the metric.

    Args:
        gate: of the precision.
        name: the scenario.
        result: what was measured there.
        searching: see `judge`.
    """
    if gate.metric_drop is None:
        return 1.0
    if name == ALL and searching:
        return gate.metric_drop + (result.metric_error or 0.0)
    return gate.metric_drop + (0.0 if name == ALL else 2 * _chance(result))


def _chance_in(part: SliceResult, whole: ScenarioResult) -> float:
    """Return by how much the metric of a slice moves by chance."""
    if whole.metric_error is None:
        return math.sqrt(part.flips) / part.samples
    return whole.metric_error * math.sqrt(whole.samples / part.samples)


def _chance(result: ScenarioResult) -> float:
    """Return by how much the metric of a whole scenario moves by chance."""
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
