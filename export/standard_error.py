"""Standard errors of the task's metric, and of its difference between two models, by a paired cluster bootstrap.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapters 6 and 8. Groups of samples are drawn, since the
frames of one scene or the questions of one picture depend on each other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["level_error", "metric_error"]

RESAMPLES = 50
"""Draws of the groups: the error is then known to a tenth of itself."""


def metric_error(
    task: TaskSpec,
    targets: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
    reference: Outputs,
    outputs: Outputs,
) -> float:
    """Return the standard error of the difference of the task's metric, groups of samples drawn anew.

    A paired cluster bootstrap: both models are scored on the same draws, and samples of one group are drawn together.

    Args:
        task: scores.
        targets: encoded targets (N, ...).
        weights: sample weights (N,).
        groups: number of each sample's group (N,).
        reference: outputs (N, ...) of the Keras model.
        outputs: outputs (N, ...) of the file.

    Returns:
        The error in the metric's unit, of those redraws in which the metric is defined; 0 where hardly any is (among
        few samples a redraw may hold no object at all), which leaves the gate at its bare bar.
    """
    scores = [_scorer(task, targets, each) for each in (reference, outputs)]
    changes = []
    for draw in _draws(groups):
        # A redraw of samples that weigh nothing has no metric.
        if (weight := draw * weights).sum() > 0:
            changes.append(scores[1](weight)[task.metric] - scores[0](weight)[task.metric])
    known = [change for change in changes if np.isfinite(change)]
    return float(np.std(known)) if len(known) >= RESAMPLES / 2 else 0.0


def level_error(
    task: TaskSpec, targets: np.ndarray, weights: np.ndarray, groups: np.ndarray, outputs: Outputs
) -> float:
    """Return the standard error of one model's metric, groups of samples drawn anew. See `metric_error`."""
    score = _scorer(task, targets, outputs)
    weighted = [draw * weights for draw in _draws(groups)]
    known = [value for weight in weighted if weight.sum() > 0 and np.isfinite(value := score(weight)[task.metric])]
    return float(np.std(known)) if len(known) >= RESAMPLES / 2 else 0.0


def _draws(groups: np.ndarray) -> np.ndarray:
    """Return how often each sample stands in each redraw of the groups (R, N)."""
    _, place = np.unique(groups, return_inverse=True)
    count = int(place.max()) + 1
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return np.asarray(draws[:, place])


def _scorer(task: TaskSpec, targets: np.ndarray, outputs: Outputs) -> Callable[[np.ndarray], dict[str, float]]:
    resampler = getattr(task, "resampler", None)
    if resampler is None:
        return lambda weights: task.score(targets, outputs, weights)
    scorer: Callable[[np.ndarray], dict[str, float]] = resampler(targets, outputs)
    return scorer
