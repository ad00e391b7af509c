"""Learned positions of tokens."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

__all__ = ["GridPosition"]


@keras.saving.register_keras_serializable("mmkeras")
class GridPosition(layers.Layer):
    """Adds a learned embedding to each token (B, N, D), such as the cells of a feature map or moments in time."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create one vector per cell, shape (1, N, D)."""
        self.embedding = self.add_weight(
            shape=(1, *input_shape[1:]), initializer=keras.initializers.RandomNormal(stddev=0.02), name="embedding"
        )

    def call(self, values: Any) -> Any:
        """Add the embedding."""
        return values + self.embedding
