"""The loss of an epoch that was broken off counts from its first step when it goes on, with its parts.

Keras begins its metrics anew with every call of ``fit``. All of them are sums over samples, which can be added up.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from mmkeras.core.errors import TrainingError

__all__ = ["add_sums", "sums"]


def sums(model: keras.Model) -> list[list[float]]:
    """Return what the metrics of a model have summed up since they began, each variable flat."""
    return [np.ravel(keras.ops.convert_to_numpy(each)).tolist() for each in model.metrics_variables]


def add_sums(model: keras.Model, before: Sequence[Sequence[float]]) -> None:
    """Add what had been summed up before, from `sums`.

    Raises:
        TrainingError: it is of a model with other metrics.
    """
    variables = model.metrics_variables
    if [int(np.prod(each.shape)) for each in variables] != [len(values) for values in before]:
        raise TrainingError(
            "The checkpoint holds sums of other metrics than the model has. The code may have changed since; start a "
            "new run, or check out the revision named in run.json."
        )
    for variable, values in zip(variables, before, strict=True):
        earlier = np.array(values, variable.dtype).reshape(variable.shape)
        variable.assign(keras.ops.convert_to_numpy(variable) + earlier)
