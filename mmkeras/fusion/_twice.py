"""Answers with and without the other modalities, both in one training step."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

__all__ = ["Twice"]


@keras.saving.register_keras_serializable("mmkeras")
class Twice(layers.Layer):
    """In training: two batches as one, (B, ...) and (B, ...) -> (2 B, ...). Otherwise the first of them alone."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Put the second batch behind the first."""
        return ops.concatenate(inputs, axis=0) if training else inputs[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the first batch's shape."""
        return input_shape[0]
