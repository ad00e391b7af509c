"""Runs both sides on the same rows and compares their outputs, one scenario at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from export.foreign.decisions import Decisions
from export.foreign.feeds import SIDES
from export.foreign.outputs import Outputs
from export.foreign.rows import Rows
from export.verification.differences import Difference, channels
from export.verification.results import ScenarioResult, SliceResult, max_or_nan
from export.verification.rows import allocate
from export.verification.slices import Slices
from export.verification.standard_error import metric_error
from export.verification.verify import CLOSE
from mmkeras.evaluation.calibration import calibration
from mmkeras.evaluation.draws import Interval
from mmkeras.evaluation.intervals import Bootstrap
from mmkeras.media.table.rows import Row
from mmkeras.tasks._evidence import joined
from mmkeras.tasks._moments import Moments
from mmkeras.tasks.classification.spec import Spec as Classes

__all__ = ["BATCH", "Change", "Measured", "Stored", "measure", "run_both", "spreads"]

BATCH = 16
"""Rows in one forward pass of a file that takes any batch size."""
_SPREAD = Classes(labels=("", ""))
Change = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Values of a row by feed -> changed values."""


@dataclass
class Stored:
    """The outputs of both sides on N rows, in memory or in temporary files."""

    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By side and by output of the file: arrays (N, ...) or `FileRows`."""
    not_finite: dict[str, int] = field(default_factory=dict)
    """Values that are NaN or infinite, by side."""
    first_bad: dict[str, int] = field(default_factory=dict)
    """Line of the first row with such a value, by side."""


@dataclass
class Measured:
    """One scenario."""

    result: ScenarioResult
    reference_metric: float | None = None
    """The reference's metric; None without a target."""
    intervals: dict[str, Interval] = field(default_factory=dict)
    """``file``, ``reference`` and ``change`` of the metric, where they were computed."""
    not_finite: dict[str, int] = field(default_factory=dict)
    """Values that are NaN or infinite, by side."""
    first_bad: dict[str, int] = field(default_factory=dict)
    """Line of the first row with such a value, by side."""
    slices: tuple[SliceResult, ...] = ()


def run_both(rows: Rows, chosen: Sequence[Row], outputs: Outputs, change: Change | None = None) -> Stored:
    """Run both sides on rows, and keep their outputs as they are compared."""
    found = Stored({side: {} for side in SIDES}, dict.fromkeys(SIDES, 0))
    for place, values in rows.batches(chosen, BATCH):
        given = values if change is None else [change(each) for each in values]
        for side in SIDES:
            raw = rows.feeds.models[side].infer(rows.feeds.batch(given, side))
            for name, value in outputs.adapted(side, raw).items():
                store = found.outputs[side]
                if name not in store:
                    store[name] = allocate(len(chosen), value)
                store[name][place] = value
                finite = np.isfinite(value).reshape(len(value), -1).all(axis=1)
                if not finite.all():
                    found.not_finite[side] += int((~np.isfinite(value)).sum())
                    found.first_bad.setdefault(side, chosen[place.start + int(finite.argmin())].line)
    return found


def measure(
    stored: Stored,
    count: int,
    outputs: Outputs,
    decisions: Decisions | None,
    keys: Sequence[str],
    groups: np.ndarray,
    columns: Sequence[Mapping[str, str]] = (),
    *,
    whole: bool = False,
    spread: Mapping[str, np.ndarray] | None = None,
) -> Measured:
    """Compare the outputs of ``count`` rows.

    Args:
        stored: the outputs.
        count: the first rows of the table, which these are.
        outputs: the pairs.
        decisions: None where no output holds a row of numbers for each sample.
        keys: names (N,) of the rows.
        groups: number (N,) of the group of each row, for intervals.
        columns: values to slice by, of each row.
        whole: whether to compute intervals and slices, which take most of the time.
        spread: of each output in the scenario ``all``, the unit of the noise; by default that of these rows.
    """
    nan = float("nan")
    bad = sum(stored.not_finite.values())
    if bad:
        empty = ScenarioResult(count, nan, nan, (), nan, nan, not_finite=bad)
        return Measured(empty, not_finite=stored.not_finite, first_bad=stored.first_bad)
    units = spread or spreads(stored, count)
    differences = {name: _difference(name, stored, count, units[name]) for name in stored.outputs["file"]}
    found = ScenarioResult(
        count,
        max_or_nan([each.result.max_abs_diff for each in differences.values()]),
        max_or_nan([each.mean for each in differences.values()]),
        (),
        nan,
        nan,
        outputs={name: each.result for name, each in differences.items()},
    )
    if decisions is None or outputs.decision not in outputs.pairs:
        return Measured(found)
    return _decided(stored, count, outputs, decisions, keys, groups, columns, found, whole=whole)


def spreads(stored: Stored, count: int) -> dict[str, np.ndarray]:
    """Return how much each output of the reference varies, see `TaskSpec.spread`."""
    known = stored.outputs["reference"]
    return dict(_SPREAD.spread({name: _moments(values, count) for name, values in known.items()}))


def _blocks(count: int) -> list[slice]:
    return [slice(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]


def _moments(values: Any, count: int) -> Moments:
    return reduce(add, [Moments.of(channels(values[block])) for block in _blocks(count)])


def _difference(name: str, stored: Stored, count: int, spread: np.ndarray) -> Difference:
    reference, file = (stored.outputs[side][name] for side in ("reference", "file"))
    difference = Difference(name, _moments(reference, count), spread)
    for block in _blocks(count):
        difference.add(reference[block], {name: file[block]})
    return difference


def _decided(
    stored: Stored,
    count: int,
    outputs: Outputs,
    decisions: Decisions,
    keys: Sequence[str],
    groups: np.ndarray,
    columns: Sequence[Mapping[str, str]],
    found: ScenarioResult,
    *,
    whole: bool,
) -> Measured:
    assert outputs.decision is not None
    sides = {side: stored.outputs[side][outputs.decision.file] for side in SIDES}
    flips, close, parts = [], [], {side: [] for side in SIDES}  # type: ignore[var-annotated]
    for block in _blocks(count):
        reference, file = (sides[side][block] for side in ("reference", "file"))
        flips.append(decisions.flips(reference, file))
        close.append(flips[-1] & (decisions.margins(reference, file) <= CLOSE))
        for side in SIDES:
            parts[side].append(decisions.evidence(block, sides[side][block]))
    flipped, near = np.concatenate(flips), np.concatenate(close)
    evidence = {side: joined(parts[side]) for side in SIDES}
    task, weights = decisions.task, np.ones(count)
    known = decisions.targets is not None
    values = {side: task.finish(evidence[side])[task.metric] if known else float("nan") for side in SIDES}
    held, counted = values["file"], evidence["file"]
    if known and near.any() and not whole:
        # Outside the scenario "all", a near tie of the reference is no loss: see `export.verification.gates`.
        counted = {name: np.where(near, evidence["reference"][name], value) for name, value in counted.items()}
        held = task.finish(counted)[task.metric]
    moved = known and held != values["reference"]
    error = metric_error(task, weights, groups[:count], evidence["reference"], counted) if moved else 0.0
    slices: tuple[SliceResult, ...] = ()
    intervals: dict[str, Interval] = {}
    if whole:
        slices = Slices(task, columns, weights, groups).compare(evidence["reference"], evidence["file"], flipped)
    if whole and known:
        draws = {side: Bootstrap().score(task, evidence[side], weights, groups, only=(task.metric,)) for side in SIDES}
        intervals = {side: draws[side].interval(task.metric) for side in SIDES}
        intervals["change"] = draws["file"].difference(draws["reference"], task.metric)
    result = ScenarioResult(
        samples=count,
        max_abs_diff=found.max_abs_diff,
        mean_abs_diff=found.mean_abs_diff,
        flipped=tuple(key for key, flip in zip(keys, flipped, strict=False) if flip),
        metric=values["file"],
        metric_change=values["file"] - values["reference"],
        close=int(near.sum()),
        held_change=held - values["reference"] if known and held != values["file"] else None,
        outputs=found.outputs,
        metric_error=error,
        calibration_change=_calibration_change(decisions, evidence) if known else None,
        slices=slices,
    )
    return Measured(result, values["reference"] if known else None, intervals, slices=slices)


def _calibration_change(decisions: Decisions, evidence: Mapping[str, Mapping[str, np.ndarray]]) -> float | None:
    """Return the file's expected calibration error minus the reference's; None without confidences."""
    weights = np.ones(len(next(iter(evidence["file"].values()))))
    after, before = (calibration(decisions.task, evidence[side], weights) for side in SIDES)
    if after is None or before is None or "ece" not in after:
        return None
    return float(after["ece"]) - float(before["ece"])
