"""Refuses a comparison that shows nothing: too few rows, outputs that never change, inputs that are not read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from export.foreign.decisions import Decisions
from export.foreign.feeds import SIDES, Frame
from export.foreign.measure import Change, Measured, Stored, run_both
from export.foreign.model import Model
from export.foreign.outputs import Outputs
from export.foreign.rows import Rows
from mmkeras.evaluation.slices import FEW_SAMPLES

__all__ = [
    "LEAST_ROWS",
    "chance_warning",
    "constant_problems",
    "few_problems",
    "same_file_warning",
    "slices_warning",
    "scale_problems",
    "uniform_warning",
    "unread_problems",
]

LEAST_ROWS = 2
"""With fewer rows, outputs that never change cannot be told from others."""
_LOOKED_AT = 16
_SAME = 1e-6
_SLOPE = 0.1
"""Share by which an output may be larger or smaller than the reference's throughout."""
_CORRELATED = 0.95
"""Share of the variance that a line has to explain for its slope to be judged."""
_NAMES = {"file": "FILE", "reference": "the reference"}


def few_problems(rows: Rows, most_bad: float) -> list[str]:
    """Return what is wrong with the number of rows: too few, or too many that cannot be used."""
    total = len(rows.good) + len(rows.bad)
    problems = []
    if len(rows.good) < LEAST_ROWS:
        problems.append(f"{len(rows.good)} rows can be compared, expected at least {LEAST_ROWS}")
    if len(rows.bad) > most_bad / 100 * total:
        first = rows.bad[0]
        problems.append(
            f"{len(rows.bad)} of {total} rows cannot be used, accepted are {most_bad:g} % (--max-bad-rows). The first: "
            f"{first.origin}: {first.reason}"
        )
    return problems


def constant_problems(stored: Stored, count: int, outputs: Outputs) -> list[str]:
    """Return the outputs that are the same on every row: equal outputs then say nothing about the file."""
    problems = []
    for pair in outputs.pairs:
        same = [side for side in SIDES if _constant(stored.outputs[side][pair.file], count)]
        if same:
            who = " and of ".join(_NAMES[side] for side in same)
            problems.append(
                f"output {pair} of {who} is the same on all {count} rows, so the comparison shows nothing about it. "
                "Check the data and the preprocessing, or leave the output out with --ignore"
            )
    return problems


def _constant(values: Sequence[np.ndarray], count: int) -> bool:
    first = np.asarray(values[0:1], np.float64)
    limit = _SAME * max(1.0, float(np.nanmax(np.abs(first), initial=0.0)))
    for start in range(0, count, _LOOKED_AT):
        block = np.asarray(values[start : start + _LOOKED_AT], np.float64)
        if not np.isfinite(block).all() or (np.abs(block - first) > limit).any():
            return False
    return True


def scale_problems(stored: Stored, count: int, outputs: Outputs) -> list[str]:
    """Return the outputs that are the reference's times a factor other than 1.

    The noise that quantisation may have would hide a wrong scale, and a scale changes no decision. Rounding has no such
    factor: a real int8 MobileNet has 0.99.
    """
    problems = []
    for pair in outputs.pairs:
        sums = np.zeros(6)
        for start in range(0, count, _LOOKED_AT):
            block = slice(start, min(start + _LOOKED_AT, count))
            known, got = (np.asarray(stored.outputs[side][pair.file][block], np.float64) for side in SIDES[::-1])
            sums += [known.size, known.sum(), got.sum(), (known**2).sum(), (got**2).sum(), (known * got).sum()]
        total, mean, other = sums[0], sums[1] / sums[0], sums[2] / sums[0]
        own, theirs, both = sums[3] / total - mean**2, sums[4] / total - other**2, sums[5] / total - mean * other
        if own <= 0 or theirs <= 0 or both**2 < _CORRELATED * own * theirs:
            continue
        if abs(both / own - 1) > _SLOPE:
            problems.append(
                f"output {pair} of FILE is {both / own:.3g} times the reference's throughout: a wrong scale, of the "
                "quantisation or the normalisation"
            )
    return problems


def unread_problems(rows: Rows, outputs: Outputs, ignored: Collection[str]) -> list[str]:
    """Return the inputs that one side or both do not read: each gets the values of other rows, one after the other.

    Without this, a file that lost one of its inputs in the conversion passes where the data says nothing else.
    """
    feeds = rows.feeds
    if len(feeds.feeds) < 2:
        return []  # `constant_problems` finds it
    chosen = rows.spread(_LOOKED_AT)
    before = run_both(rows, chosen, outputs)
    values = [rows.values(row) for row in chosen]
    problems = []
    for feed in feeds.feeds:
        if feed.name in ignored:
            continue
        if _equal_values(values, feed.name):
            problems.append(
                f"input {feed.name} is the same in {len(chosen)} rows: whether it is read cannot be checked. "
                "Give rows that differ, or accept that with --ignore"
            )
            continue
        others = [each[feed.name] for each in (*values[1:], values[0])]
        after = run_both(rows, chosen, outputs, _taken(feed.name, others))
        unread = [side for side in SIDES if _unchanged(before, after, side)]
        if unread:
            who = " and ".join(_NAMES[side] for side in unread)
            problems.append(f"input {feed.name} changes nothing in {who}: it is not read. --ignore accepts that")
    return problems


def _taken(name: str, others: Sequence[Any]) -> Change:
    """Return a change that gives one row after the other the next value."""
    drawn = iter(others)
    return lambda values: {**values, name: next(drawn)}


def _equal_values(values: Sequence[dict[str, Any]], name: str) -> bool:
    first, *others = (_as_array(each[name]) for each in values)
    return all(np.array_equal(first, other) for other in others)


def _as_array(value: Any) -> np.ndarray:
    return np.asarray(value.image if isinstance(value, Frame) else value)


def _unchanged(before: Stored, after: Stored, side: str) -> bool:
    return all(
        np.array_equal(np.asarray(value[:]), np.asarray(after.outputs[side][name][:]), equal_nan=True)
        for name, value in before.outputs[side].items()
    )


def uniform_warning(stored: Stored, outputs: Outputs, decisions: Decisions | None, count: int) -> str:
    """Return a warning where the reference decides the same on every row: changed decisions then are hard to see."""
    if decisions is None or decisions.kind == "numbers" or outputs.decision not in outputs.pairs:
        return ""
    assert outputs.decision is not None
    values = stored.outputs["reference"][outputs.decision.file]
    chosen = {int(each) for start in range(0, count, 64) for each in decisions.chosen(values[start : start + 64])}
    if len(chosen) > 1 or count < LEAST_ROWS:
        return ""
    return f"the reference decides for the same class on all {count} rows: the count of changed decisions says little"


def chance_warning(found: Measured, decisions: Decisions | None) -> str:
    """Return a warning where the reference is no better than a constant answer: it is probably given wrong inputs."""
    if decisions is None or decisions.targets is None or found.reference_metric is None:
        return ""
    if decisions.kind == "numbers":
        constant, worse = "the mean", found.reference_metric >= 1
    else:
        share = float(np.bincount(decisions.targets).max() / len(decisions.targets))
        constant, worse = "the most frequent class", found.reference_metric <= share
    if not worse:
        return ""
    return (
        f"the reference is no better than always {constant}, so its inputs may be given wrongly: check scale, colours "
        "and size (--input), the order of the classes (--labels) and the target"
    )


def same_file_warning(file: Model, reference: Model) -> str:
    """Return a warning where both sides are the same file: the comparison then passes whatever is in it."""
    paths = (file.path, reference.path)
    same = file.path.resolve() == reference.path.resolve()
    if all(path.is_file() for path in paths):
        same = same or (file.bytes == reference.bytes and paths[0].read_bytes() == paths[1].read_bytes())
    return "FILE and the reference are the same file, so the comparison shows nothing about it" if same else ""


def slices_warning(found: Measured, columns: Collection[str]) -> str:
    """Return a warning of the columns without a slice that is large enough to be judged."""
    known = {part.name.partition(" = ")[0] for part in found.slices}
    small = [column for column in columns if column not in known]
    if not small or found.result.not_finite:
        return ""
    return f"--slices {' '.join(small)}: no value has {FEW_SAMPLES} rows or more beside others, so no slice is judged"
