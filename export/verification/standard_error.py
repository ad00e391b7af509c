"""Standard errors of the task's metric on the verification samples, by a bootstrap over their groups."""

from __future__ import annotations

import numpy as np

from mmkeras.evaluation.intervals import Bootstrap, paired_error
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import Evidence

__all__ = ["level_error", "metric_error"]

RESAMPLES = 100
"""Bootstrap resamples: the relative error of the standard error is then 1/14."""


def metric_error(
    task: TaskSpec, weights: np.ndarray, groups: np.ndarray, reference: Evidence, evidence: Evidence
) -> float:
    """Return the standard error of the difference of the task's metric between the Keras model and a file.

    ``weights`` (N,) and the numbers of the samples' ``groups`` (N,) are those of the evidence's rows. Samples are
    resampled one by one where all are of one group. The error is 0 where it is unknown: the gate then has its bare
    limit.
    """
    if not weights.sum() > 0:
        return 0.0
    drawn = groups if len(np.unique(groups)) > 1 else np.arange(len(groups))
    return paired_error(task, reference, evidence, weights, drawn, resamples=RESAMPLES)


def level_error(task: TaskSpec, weights: np.ndarray, groups: np.ndarray, evidence: Evidence) -> float:
    """Return the standard error of one model's metric. See `metric_error`."""
    draws = Bootstrap(RESAMPLES).score(task, evidence, weights, groups, only=(task.metric,)).draws[task.metric]
    known = draws[np.isfinite(draws)]
    return float(known.std()) if len(known) >= RESAMPLES / 2 else 0.0
