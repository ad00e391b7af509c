"""Keras head of the embedding task with its loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmkeras.layers.encoded import pooled
from mmkeras.layers.tokens import Encoded
from mmkeras.tasks.embedding.spec import Config, Spec

__all__ = ["CosineDistance", "build", "losses"]


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    """Return ``{"embedding": (B, size) float32}`` of unit length from the pooled vector (B, D).

    Raises:
        ConfigError: the fusion has no pooled vector.
    """
    x = keras.layers.Dropout(config.dropout, name="head_dropout")(pooled(encoded, spec.kind))
    x = keras.layers.Dense(spec.size, dtype=keras.config.floatx(), name="head_projection")(x)
    return {"embedding": keras.layers.UnitNormalization(dtype=keras.config.floatx(), name="embedding")(x)}


def losses(spec: Spec, config: Config, class_counts: Mapping[str, int] | None = None) -> dict[str, keras.losses.Loss]:
    """Return the loss by output name."""
    return {"embedding": CosineDistance()}


@keras.saving.register_keras_serializable("mmkeras")
class CosineDistance(keras.losses.Loss):
    """1 minus the cosine similarity of vectors (B, size)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample (B,)."""
        return 1.0 + keras.losses.cosine_similarity(ops.cast(y_true, y_pred.dtype), y_pred)
