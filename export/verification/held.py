"""Compares the exported model with its own evaluation: it must be the model that metrics.json describes."""

from __future__ import annotations

import math

import numpy as np

from export.source import Source
from export.verification.scenarios import ALL
from export.verification.standard_error import level_error
from export.verification.verify import Reference
from mmkeras.core.errors import ExportError

__all__ = ["hold_to_evaluation"]

SAME = 0.001
"""Largest difference of the metric where both were measured on the same samples: kernels round differently."""
PART = 0.005
"""Allowed difference beyond four standard errors, where only a part of the samples was used."""


def hold_to_evaluation(source: Source, reference: Reference) -> None:
    """Compare the Keras model's metric on the verification samples with that of its evaluation.

    On the whole test split both must be the same; on a part of it they may differ by four standard errors and half a
    point. An older evaluation without the metric is not compared.

    Raises:
        ExportError: they differ by more: another model, other data, or inputs unlike those of training.
    """
    task = source.task
    evaluated = source.metrics.get("test", {}).get(task.metric, {}).get("value")
    if evaluated is None or not math.isfinite(evaluated):
        return
    count = len(reference.keys)
    whole = source.metrics.get("samples") == count
    case = next(case for case in reference.cases if case.scenario.name == ALL)
    allowed = SAME * max(1.0, abs(evaluated))
    if not whole:
        error = level_error(task, reference.weights, reference.groups, case.evidence)
        if 0 <= evaluated <= 1 and task.metric_sign > 0:
            # If all of a few samples are right, the bootstrap gives an error of 0; a share has at least this one.
            error = max(error, math.sqrt(evaluated * (1 - evaluated) / len(np.unique(reference.groups))))
        allowed = PART + 4 * error
    if abs(case.metric - evaluated) > allowed + 1e-9:
        raise ExportError(
            f"The model does not reproduce its evaluation: {task.metric} is {case.metric:.4f} on "
            f"{count} test samples, and {evaluated:.4f} in metrics.json on "
            f"{source.metrics.get('samples', 'its')} samples; a difference of {allowed:.4f} is allowed. The model, the "
            "data or its preprocessing has changed since. Evaluate the run again, then export it."
        )
