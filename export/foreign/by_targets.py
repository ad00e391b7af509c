"""Asks the targets which inputs are right: both sides may agree on wrong ones."""

from __future__ import annotations

from collections.abc import Sequence

from export.foreign.decisions import Decisions
from export.foreign.diagnosis import Question
from export.foreign.feeds import Feeds
from export.foreign.finding import Finding
from export.foreign.outputs import Outputs
from export.foreign.variants import Variant, variants
from mmkeras.core.errors import DataError
from mmkeras.evaluation.words import number

__all__ = ["better_inputs", "better_side"]

_ROWS = 64
_MUCH = 0.1
"""Gain of the metric from which other inputs are worth a warning: few rows are scored, and the best of many."""


def better_side(question: Question, findings: Sequence[Finding], decisions: Decisions | None) -> str:
    """Return which inputs give the reference the better metric, where others for it explain a difference too."""
    other = next((each.variant for each in findings if each.side == "reference" and each.variant), None)
    if other is None or decisions is None or decisions.targets is None:
        return ""
    metric = decisions.task.metric
    scores = [_score(question, feeds, decisions) for feeds in (question.rows.feeds, other.feeds)]
    if None in scores or scores[0] == scores[1]:
        return ""
    first, second = (float(score or 0) for score in scores)
    right = "as declared" if decisions.task.metric_sign * (first - second) > 0 else other.what
    return f"by the targets, the reference has the better {metric} when its input {other.name!r} is given {right}"


def better_inputs(question: Question, decisions: Decisions) -> str:
    """Return the inputs with which the reference, which is no better than chance, has a much better metric."""
    before = _score(question, question.rows.feeds, decisions)
    sign, metric = decisions.task.metric_sign, decisions.task.metric
    best: tuple[float, Variant] | None = None
    for variant in variants(question.rows.feeds, 1):
        score = _score(question, variant.feeds, decisions) if variant.side == "reference" else None
        if score is not None and (best is None or sign * (score - best[0]) > 0):
            best = (score, variant)
    if best is None or before is None or sign * (best[0] - before) < _MUCH:
        return ""
    declare = f": declare {best[1].declare}" if best[1].declare else ""
    return (
        f"by the targets, the reference has {metric} {number(metric, best[0])} in place of {number(metric, before)} "
        f"when its input {best[1].name!r} is given {best[1].what}{declare}"
    )


def _score(question: Question, feeds: Feeds, decisions: Decisions) -> float | None:
    """Return the reference's metric on the first rows; None where it cannot be run on them."""
    rows = question.rows
    chosen = rows.good[:_ROWS]
    try:
        raw = question.raw(feeds, "reference", [rows.values(row) for row in chosen])
    except DataError:
        return None
    outputs = Outputs.of(raw, raw, {}, question.ignored, question.changes)
    if outputs.decision is None:
        return None
    given = outputs.adapted("reference", raw)[outputs.decision.file]
    task = decisions.task
    return task.finish(decisions.evidence(slice(0, len(chosen)), given))[task.metric]
