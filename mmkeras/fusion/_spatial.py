"""Attention between tokens with positions in one picture, which prefers near keys and reads out measurements.

A term -(d / s)**2 is added to every score; d is the horizontal distance of query and key in the picture, and s a
learned reach per head. Heads with a short reach find the points on a cell's own object, heads with a long reach those
around it. Heights are ignored, because many radars do not measure them.

If the keys have distances, each query predicts logits over distance steps, which are added to the scores of the points
at that distance. The camera's estimate thus selects, among the points of its column, the one at its own distance.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mmkeras.layers.tokens import KeepsScores

__all__ = ["DistanceLogits", "LearnedMap", "SpatialAttention", "distances", "distance_scores", "placed"]

NARROWEST, WIDEST = 0.025, 0.25
"""Initial reach of the first and the last head, as a share of the picture's width."""


@keras.saving.register_keras_serializable("mmkeras")
class SpatialAttention(KeepsScores, layers.Layer):
    """Multi-head attention with a learned reach, a learned null key and a readout of measurements.

    Inputs: queries (B, T, D), keys (B, S, D), valid int (B, S); optionally the positions of both, (B, T, 2) and
    (B, S, 2) or, with the logarithm of the distance, (B, S, 3), and measurements (B, S, M).

    Outputs: the values read (B, T, D); weights (B, heads, T, S), whose sum is below 1 because of the null key; the
    readout (B, T, heads * (M + 1)): each head's weighted mean of the measurements, and its total weight. If the keys
    have distances, also logarithms of distances, float32 (B, T, 1 + heads): the query's own estimate, and one per head.

    The softmax excludes invalid keys by multiplication. A large negative number instead would take the whole
    quantization range of an int8 tensor.

    Args:
        heads: attention heads; must divide D.
        dropout: share of the result dropped in training.
    """

    def __init__(self, heads: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.dropout = dropout

    def build(self, input_shape: Any) -> None:
        """Create the projections, the null key and the reaches."""
        width = input_shape[0][-1]
        self._size = width // self.heads
        for name in ("query", "value", "output"):
            setattr(self, f"_{name}", layers.Dense(width, name=name, dtype=self.dtype_policy))
        # A bias of the keys would change all scores of a query equally.
        self._key = layers.Dense(width, use_bias=False, name="key", dtype=self.dtype_policy)
        for layer in (self._query, self._key, self._value, self._output):
            layer.build((None, None, width))
        self._drop = layers.Dropout(self.dropout)
        self._null = self.add_weight(shape=(1, self.heads, 1, self._size), initializer="zeros", name="null_key")
        if len(input_shape) > 3:
            reach = (1.0 / np.geomspace(NARROWEST, WIDEST, self.heads)).astype(np.float32)
            self._reach = self.add_weight(
                shape=reach.shape,
                initializer=lambda shape, dtype: ops.convert_to_tensor(reach, dtype),
                name="inverse_reach",
            )
        self._distance_logits = None
        if _have_distances(input_shape):
            # The name is part of saved weights.
            self._distance_logits = DistanceLogits(name="belief", dtype=self.dtype_policy)
            self._distance_logits.build((None, None, width))

    def call(self, inputs: Any, training: bool | None = None) -> tuple[Any, ...]:
        """Return the outputs, see the class."""
        queries, keys, valid = inputs[:3]
        q, k, v = self._split(self._query(queries)), self._split(self._key(keys)), self._split(self._value(keys))
        q = q * (self._size**-0.5)
        scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))
        null = ops.sum(q * ops.cast(self._null, q.dtype), axis=-1, keepdims=True)
        if len(inputs) > 3:
            scores = scores - ops.cast(self._apart(inputs[3], inputs[4]), scores.dtype)
        logits = None if self._distance_logits is None else self._distance_logits(queries)
        if logits is not None:
            scores = scores + ops.cast(ops.expand_dims(distance_scores(logits, inputs[4]), 1), scores.dtype)
        real = ops.expand_dims(ops.expand_dims(ops.cast(valid, scores.dtype), 1), 1)
        scores = ops.where(real > 0, scores, null)
        highest = ops.maximum(ops.max(scores, axis=-1, keepdims=True), null)
        weights = ops.exp(scores - highest) * real
        weights = weights / (ops.sum(weights, axis=-1, keepdims=True) + ops.exp(null - highest))
        read = ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (-1, *queries.shape[1:]))
        read = self._drop(self._output(read), training=training)
        readout = self._read_out(weights, inputs[5] if len(inputs) > 5 else None)
        if logits is None:
            return read, weights, readout
        return read, weights, readout, distances(weights, logits, inputs[4])

    def _split(self, x: Any) -> Any:
        """Return (B, N, D) as (B, heads, N, D / heads)."""
        return ops.transpose(ops.reshape(x, (-1, x.shape[1], self.heads, self._size)), (0, 2, 1, 3))

    def _apart(self, first: Any, second: Any) -> Any:
        """Return the squared horizontal distances (B, heads, T, S) in units of each head's reach."""
        column = ops.expand_dims(second[:, :, 0], 1)
        apart = ops.square(ops.expand_dims(first[:, :, 0], 2) - column)
        # A key without a position is equally near to all queries.
        apart = apart * ops.cast(placed(second), apart.dtype)
        return ops.reshape(ops.square(self._reach), (1, self.heads, 1, 1)) * ops.expand_dims(apart, 1)

    def _read_out(self, weights: Any, measured: Any) -> Any:
        share = ops.sum(weights, axis=-1, keepdims=True)
        if measured is not None:
            mean = ops.matmul(weights, ops.expand_dims(ops.cast(measured, weights.dtype), 1))
            share = ops.concatenate([mean / (share + 1e-3), share], axis=-1)
        share = ops.transpose(share, (0, 2, 1, 3))
        return ops.reshape(share, (-1, share.shape[1], self.heads * share.shape[3]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the outputs."""
        queries, keys = input_shape[:2]
        measured = input_shape[5][-1] if len(input_shape) > 5 else 0
        weights = (queries[0], self.heads, queries[1], keys[1])
        shapes = (queries, weights, (*queries[:2], self.heads * (measured + 1)))
        return (*shapes, (*queries[:2], 1 + self.heads)) if _have_distances(input_shape) else shapes

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "heads": self.heads, "dropout": self.dropout}


def _have_distances(input_shape: Any) -> bool:
    """Return whether the keys' positions hold distances."""
    return len(input_shape) > 4 and input_shape[4][-1] > 2


@keras.saving.register_keras_serializable("mmkeras")
class LearnedMap(layers.Layer):
    """The same learned map of queries (B, cells, D) for every sample; of its input (B, N, D) only B matters."""

    def __init__(self, cells: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = cells

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the queries, shape (1, cells, D)."""
        self.queries = self.add_weight(
            shape=(1, self.cells, input_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="queries",
        )

    def call(self, tokens: Any) -> Any:
        """Repeat the queries for every sample."""
        # `where` and no multiplication with zero: a masked token may be NaN.
        zeros = ops.where(ops.zeros_like(tokens[:, :1], dtype="bool"), tokens[:, :1], 0.0)
        return zeros + ops.cast(self.queries, tokens.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "cells": self.cells}


STEPS = np.linspace(math.log(1.5), math.log(100.0), 32, dtype=np.float32)
"""Logarithms of distances in metres, 14 % apart."""


@keras.saving.register_keras_serializable("mmkeras")
class DistanceLogits(layers.Layer):
    """Logits of each distance step for each query: (B, T, D) -> float32 (B, T, steps).

    A distribution over steps can have two modes, for example a man at 12 m and a lorry at 40 m. Steps are logarithms of
    distances. The score of a measured distance is interpolated between the two nearest steps.
    """

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
    """Return float (B, 1, S) from positions (B, S, 2 or 3): 1 for keys with a position, else 0."""
    return ops.expand_dims(ops.cast(ops.greater(position[:, :, 0], -0.5), keras.config.floatx()), 1)


def distance_scores(logits: Any, position: Any) -> Any:
    """Return the logits (B, T, steps) at keys (B, S, 3): float32 (B, T, S), 0 for keys without a position."""
    step = float(STEPS[1] - STEPS[0])
    distance = ops.clip(ops.cast(position[:, :, 2:3], keras.config.floatx()), float(STEPS[0]), float(STEPS[-1]))
    # Linear between neighbouring steps. STEPS stays numpy: a tensor would become an input of the ONNX graph.
    share = ops.relu(1.0 - ops.abs(distance - STEPS) / step)
    return ops.matmul(logits, ops.transpose(share, (0, 2, 1))) * placed(position)


def distances(weights: Any, logits: Any, position: Any) -> Any:
    """Return logarithms of distances, float32 (B, T, 1 + heads): the mean of the distribution, then one per head.

    The attention weight on the null key and on keys without a position goes to the mean. So the model still works when
    the radar fails, and no division is needed.

    Args:
        weights: attention weights (B, heads, T, S).
        logits: of the distance steps (B, T, steps).
        position: of the keys, (B, S, 3).
    """
    mean = ops.sum(ops.softmax(logits, axis=-1) * STEPS, axis=-1)
    weights = ops.cast(weights, keras.config.floatx()) * ops.expand_dims(placed(position), 1)
    known = ops.expand_dims(ops.expand_dims(ops.cast(position[:, :, 2], keras.config.floatx()), 1), 1)
    rest = 1.0 - ops.sum(weights, axis=-1)
    found = ops.sum(weights * known, axis=-1) + rest * ops.expand_dims(mean, 1)
    # Transposed last: LiteRT's converter turns 1 - x into x - 1 if x is transposed.
    return ops.transpose(ops.concatenate([ops.expand_dims(mean, 1), found], axis=1), (0, 2, 1))
