"""A tag for each word, from the words' own tokens after they have read the picture."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.layers.encoded import tokens_of
from mmkeras.layers.tokens import Encoded
from tests.toys.tasks.word_tags.spec import PADDING, Config, Spec


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    words = tokens_of(encoded, "text", spec.kind).values
    words = ops.concatenate([words[:, 1:], words[:, :1]], axis=1)  # the first token is [CLS]
    logits = keras.layers.Dense(len(spec.tags), name="head_logits")(words)
    return {"tags": keras.layers.Softmax(dtype="float32", name="tags")(logits)}


def losses(spec: Spec, config: Config, class_counts: Any = None) -> dict[str, Any]:
    def loss(y_true: Any, y_pred: Any) -> Any:
        real = ops.cast(ops.not_equal(y_true, PADDING), y_pred.dtype)
        each = keras.losses.sparse_categorical_crossentropy(ops.maximum(y_true, 0), y_pred)
        return ops.sum(each * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)

    return {"tags": loss}
