"""How far away: what a query believes of its own object, and what it reads of the keys that measure it.

A belief is spread over steps of the logarithm of the distance, so that it can hold two guesses: a man at 12 m, a lorry
at 40 m. A point that measures a distance fits a belief as well as the steps on both sides of it do.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

__all__ = ["DistanceBelief", "distances", "fit", "placed"]

STEPS = np.linspace(math.log(1.5), math.log(100.0), 32, dtype=np.float32)
"""Logarithms of distances in metres, 14 % apart."""


@keras.saving.register_keras_serializable("mmkeras")
class DistanceBelief(layers.Layer):
    """Says how likely each step of distance is for each query: (B, T, D) -> logits, float32 (B, T, steps)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the two Dense layers."""
        inner = 2 * int(input_shape[-1] or 0)
        self._inner = layers.Dense(inner, name="inner", dtype=self.dtype_policy)
        self._inner.build(input_shape)
        self._outer = layers.Dense(len(STEPS), name="outer", dtype=keras.config.floatx())
        self._outer.build((*input_shape[:-1], inner))

    def call(self, queries: Any) -> Any:
        """Return the logits of each distance step."""
        return self._outer(ops.gelu(self._inner(queries), approximate=True))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return (B, T, steps)."""
        return (*input_shape[:-1], len(STEPS))


def placed(position: Any) -> Any:
    """Return float (B, 1, S): 1 for keys that have a place, given their positions (B, S, 2 or 3)."""
    return ops.expand_dims(ops.cast(ops.greater(position[:, :, 0], -0.5), keras.config.floatx()), 1)


def fit(belief: Any, position: Any) -> Any:
    """Return how well beliefs (B, T, steps) fit keys at (B, S, 3): float32 (B, T, S), 0 for keys without a place."""
    step = float(STEPS[1] - STEPS[0])
    distance = ops.clip(ops.cast(position[:, :, 2:3], keras.config.floatx()), float(STEPS[0]), float(STEPS[-1]))
    # Linear between neighbouring steps. STEPS stays numpy: a tensor would become an input of the ONNX graph.
    share = ops.relu(1.0 - ops.abs(distance - STEPS) / step)
    return ops.matmul(belief, ops.transpose(share, (0, 2, 1))) * placed(position)


def distances(weights: Any, belief: Any, position: Any) -> Any:
    """Return logarithms of distances, float32 (B, T, 1 + heads): the belief's mean, then what each head read.

    What a head did not read from keys with a place is filled up with the belief, so that a dead radar leaves the
    belief alone and no division is needed.

    Args:
        weights: attention weights (B, heads, T, S).
        belief: logits (B, T, steps).
        position: of the keys, (B, S, 3).
    """
    believed = ops.sum(ops.softmax(belief, axis=-1) * STEPS, axis=-1)
    weights = ops.cast(weights, keras.config.floatx()) * ops.expand_dims(placed(position), 1)
    known = ops.expand_dims(ops.expand_dims(ops.cast(position[:, :, 2], keras.config.floatx()), 1), 1)
    rest = 1.0 - ops.sum(weights, axis=-1)
    found = ops.sum(weights * known, axis=-1) + rest * ops.expand_dims(believed, 1)
    # Transposed last: LiteRT's converter makes x - 1 of 1 - x where x is transposed.
    return ops.transpose(ops.concatenate([ops.expand_dims(believed, 1), found], axis=1), (0, 2, 1))
