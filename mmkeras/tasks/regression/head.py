"""Keras head of the regression task with its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.encoded import pooled
from mmkeras.layers.tokens import Encoded
from mmkeras.tasks.regression.spec import Config, Spec

__all__ = ["RegressionLoss", "build", "losses"]


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    """Return ``{"value": (B, K) float32}`` in the target's own units from the pooled vector (B, D).

    The last Dense layer works in standard deviations around the mean of the training targets.

    Raises:
        ConfigError: the fusion has no pooled vector.
    """
    x = keras.layers.Dropout(config.dropout, name="head_dropout")(pooled(encoded, spec.kind))
    x = keras.layers.Dense(len(spec.names), dtype=keras.config.floatx(), name="head_standardised")(x)
    scale = keras.layers.Rescaling(list(spec.std), list(spec.mean), dtype=keras.config.floatx(), name="value")
    return {"value": scale(x)}


def losses(spec: Spec, config: Config, class_counts: Mapping[str, int] | None = None) -> dict[str, keras.losses.Loss]:
    """Return the loss by output name, in standard deviations of the training targets.

    Raises:
        ConfigError: mean and standard deviation of the training targets are not known.
    """
    if not config.std:
        raise ConfigError(
            "mean and std: expected those of the training targets, which scale the loss, got none. Fill them with "
            "Config.completed(facts), or set mean = 0 and std = 1 for standardised targets"
        )
    return {"value": RegressionLoss(std=spec.std, kind=config.loss)}


@keras.saving.register_keras_serializable("mmkeras")
class RegressionLoss(keras.losses.Loss):
    """Error of values (B, K) in standard deviations, averaged over the K numbers.

    Args:
        std: standard deviation of each number (K,).
        kind: ``mse``, ``mae`` or ``huber`` (squared up to one standard deviation, absolute beyond).
    """

    def __init__(
        self,
        std: Sequence[float],
        kind: str = "huber",
        name: str = "regression_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.std = [float(value) for value in std]
        self.kind = kind

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample (B,)."""
        # The difference first: dividing large values before subtracting them would lose digits.
        error = (y_pred - y_true) / ops.convert_to_tensor(self.std, dtype=y_pred.dtype)
        losses = {
            "mse": keras.losses.mean_squared_error,
            "mae": keras.losses.mean_absolute_error,
            "huber": keras.losses.huber,
        }
        return losses[self.kind](ops.zeros_like(error), error)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "std": self.std, "kind": self.kind}
