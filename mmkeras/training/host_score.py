"""Validation metrics that only the task itself can compute, on the host, from decoded answers."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from mmkeras.tasks import TaskSpec

__all__ = ["HostScore"]


class HostScore(keras.callbacks.Callback):
    """Adds ``val_<metric>`` for every metric of `TaskSpec.score` to an epoch's logs.

    For tasks such as detection, whose metric is no sum over samples that Keras could keep. It stands before the
    callbacks that read the logs. With an exponential moving average it sees the averaged weights, as validation does.

    Args:
        validation: batches ``(inputs, targets by output, weights)``.
        task: gives the metrics.
    """

    def __init__(self, validation: tf.data.Dataset, task: TaskSpec) -> None:
        super().__init__()
        self._validation = validation
        self._task = task

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Ask the model for all validation answers and score them."""
        del epoch
        if logs is None:
            return
        outputs, targets, weights = [], [], []
        for inputs, target, weight in self._validation:
            outputs.append(self.model.predict_on_batch(inputs))
            targets.append(next(iter(target.values())).numpy())
            weights.append(weight.numpy())
        whole = {name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]}
        score = self._task.score(np.concatenate(targets), whole, np.concatenate(weights))
        logs.update({f"val_{name}": float(value) for name, value in score.items() if np.isfinite(value)})
