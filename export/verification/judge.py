"""Compares the measurements of a file with the limits of its precision, see `export.verification.gates`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from export.verification.gates import CHANCE, GATES, LEFT_OUT_FACTOR, RARE, SLICE_CHANCE, WHOLE_CHANCE, Gate
from export.verification.results import OutputDifference, ScenarioResult
from export.verification.scenarios import ALL

__all__ = ["allowed_drop", "judge", "scenario_problems"]


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
        results: measurements by scenario.
        metric: name of the task metric, for the message.
        sign: 1 where a higher metric is better, -1 where a lower one is.
        gates: the task's gates, see `gates_of`.
        searching: whether the results are from the fewer samples of a search. Twice the standard error of a count of
            flips is then allowed, so that the search ignores chance.
    """
    gate = gates[precision]
    problems = [] if results.get(ALL) else [f"not verified in the scenario {ALL!r}"]
    for name, result in results.items():
        for problem in scenario_problems(gate, tolerance, name, result, metric, sign, searching=searching):
            problems.append(f"{name}: {problem}")
    return "; ".join(problems)


def scenario_problems(
    gate: Gate,
    tolerance: float,
    name: str,
    result: ScenarioResult,
    metric: str,
    sign: int,
    *,
    searching: bool = False,
) -> list[str]:
    """Return what is beyond the limits of a gate in one scenario; see `judge` for the arguments."""
    if result.samples == 0:
        return ["no samples"]
    if result.not_finite:
        return [f"{result.not_finite} output values are NaN or infinite"]
    problems = [] if result.outputs else ["no output was compared"]
    for output, found in result.outputs.items():
        if gate.exact and not (found.relative_most <= tolerance and found.relative <= LEFT_OUT_FACTOR * tolerance):
            problems.append(_difference_problem(output, found, tolerance))
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
                "longer match how often the file is right"
            )
    return problems


def _difference_problem(output: str, found: OutputDifference, tolerance: float) -> str:
    problem = f"{output} differs by {found.max_abs_diff:.2g}, relative {found.relative:.2g}, allowed {tolerance:.2g}"
    if found.relative_most == found.relative:
        return problem
    most = f"relative {found.relative_most:.2g}; {LEFT_OUT_FACTOR} times as much is allowed for that value"
    return f"{problem} (without one value in 100,000: {most})"


def _flip_problems(gate: Gate, name: str, result: ScenarioResult, searching: bool) -> list[str]:
    if name == ALL:
        limits = [(gate.flips, result.flips, "")]
    elif gate.flips_and_ties is None:
        limits = [(gate.flips_elsewhere, result.flips, "")]
    else:
        limits = [
            (gate.flips_elsewhere, result.flips - result.close, ", without near ties"),
            (gate.flips_and_ties, result.flips, ", with near ties"),
        ]
    problems = []
    for share, changed, what in limits:
        flips = (share or 0.0) * result.samples
        allowed = max(flips + (2 * math.sqrt(flips) if searching else 0.0), gate.few_flips)
        if share is not None and changed > allowed:
            problems.append(f"{changed} of {result.samples} decisions changed{what}, allowed {share:.1%}")
    return problems


def _slice_problems(gate: Gate, result: ScenarioResult, metric: str, sign: int) -> list[str]:
    """Return the problem of the worst slice, with the number of further slices beyond their limits."""
    beyond = []
    for part in result.slices:
        drop = -sign * part.metric_change
        allowed = (gate.metric_drop or 0.0) + min(3 * part.metric_error, SLICE_CHANCE)
        where = f"on the {part.samples} samples with {part.name}"
        if not drop <= allowed + 1e-9:
            beyond.append(f"{metric} {100 * drop:.2f} points worse {where}, allowed {100 * allowed:.2f}")
        elif gate.flips is not None:
            most = max(_binomial_quantile(part.samples, gate.flips), gate.few_flips)
            if part.flips > most:
                beyond.append(f"{part.flips} decisions changed {where}, allowed {most}")
    return [beyond[0] + (f" (and {len(beyond) - 1} more slices)" if len(beyond) > 1 else "")] if beyond else []


@lru_cache(maxsize=1024)
def _binomial_quantile(samples: int, share: float) -> int:
    """Return the changed decisions that a file at its limit exceeds in a share `RARE` of slices of this size."""
    from scipy.stats import binom

    return int(binom.ppf(1 - RARE, samples, share))


def allowed_drop(gate: Gate, name: str, result: ScenarioResult) -> float:
    """Return the allowed loss of the metric in a scenario, as a share; 1 where the gate does not limit the metric."""
    if gate.metric_drop is None:
        return 1.0
    error = result.metric_error or 0.0
    if name == ALL:
        return gate.metric_drop + min(error, max(WHOLE_CHANCE, 1 / result.samples))
    return gate.metric_drop + min(2 * error, max(CHANCE, 1 / result.samples))
