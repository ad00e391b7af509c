"""A layer of the detection head that weighs several guesses of a distance."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["DistanceChoice"]


@keras.saving.register_keras_serializable("mmkeras")
class DistanceChoice(keras.layers.Layer):
    """Mean of guesses, weighted by a softmax over their scores.

    In training some guesses of a cell are hidden, so that each is trained alone. Otherwise the camera's guess would not
    be trained, because the radar's is nearly always better, and the model would fail without radar.

    Inputs: scores (B, h, w, K) and guesses (B, h, w, K). Output: (B, h, w, 1).

    Args:
        drop: share of the guesses hidden in training; at least one in a cell is kept.
    """

    def __init__(self, drop: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drop = drop
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the weighted mean of the guesses."""
        scores, guesses = inputs
        if not training or not self.drop:
            return ops.sum(ops.softmax(scores, axis=-1) * guesses, axis=-1, keepdims=True)
        shown = keras.random.uniform(ops.shape(scores), seed=self.seed_generator) >= self.drop
        shown = ops.logical_or(shown, ops.logical_not(ops.any(shown, axis=-1, keepdims=True)))
        lowest = ops.min(scores, axis=-1, keepdims=True)
        highest = ops.max(ops.where(shown, scores, lowest), axis=-1, keepdims=True)
        weight = ops.exp(ops.minimum(scores - highest, 0.0)) * ops.cast(shown, scores.dtype)
        return ops.sum(weight * guesses, axis=-1, keepdims=True) / ops.sum(weight, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (B, h, w, 1)."""
        return (*input_shape[0][:-1], 1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "drop": self.drop}
