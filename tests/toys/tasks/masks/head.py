"""A class for each pixel, from the picture's map alone."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.layers.encoded import tokens_of
from mmkeras.layers.tokens import Encoded
from tests.toys.tasks.masks.spec import Config, Spec


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    tokens = tokens_of(encoded, "image", spec.kind)
    assert tokens.grid is not None
    rows, columns = tokens.grid
    cells = ops.reshape(tokens.values, (-1, rows, columns, tokens.values.shape[-1]))
    scale = (spec.height // rows, spec.width // columns)
    pixels = keras.layers.UpSampling2D(scale, interpolation="bilinear", name="head_upsampling")(cells)
    logits = keras.layers.Conv2D(len(spec.labels), 3, padding="same", name="head_logits")(pixels)
    return {"mask": keras.layers.Softmax(dtype="float32", name="mask")(logits)}


def losses(spec: Spec, config: Config, class_counts: Any = None) -> dict[str, Any]:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred), axis=(1, 2))

    return {"mask": loss}
