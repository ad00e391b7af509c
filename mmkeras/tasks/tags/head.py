"""Keras head of the tags task with its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.encoded import tokens_of
from mmkeras.layers.tokens import Encoded
from mmkeras.tasks._labels import class_weights
from mmkeras.tasks.tags.spec import Config, Spec

__all__ = ["TagsLoss", "build", "losses"]

_OUTSIDE_LOGIT = 12.0
"""Logit of the tag O on padding; its others are 0. A larger number would take the range of an int8 tensor."""


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    """Return ``{"tags": (B, N, T) float32}`` from the words' own tokens, which a fusion may have changed.

    Padding has the tag ``O``. Logits and softmax keep the full precision (floatx) under every policy.

    Raises:
        ConfigError: the modality of the words is not part of the model, or the fusion changed their number.
    """
    words = tokens_of(encoded, spec.reads, "task.options.words")
    if words.values.shape[1] != spec.words:
        raise ConfigError(
            f"model.{spec.reads}: tags needs a token for each of {spec.words} words, got {words.values.shape[1]} tokens"
        )
    x = keras.layers.Dropout(config.dropout, name="head_dropout")(words.values)
    logits = keras.layers.Dense(len(spec.tags.tags), dtype=keras.config.floatx(), name="head_logits")(x)
    real = ops.expand_dims(ops.cast(words.mask, logits.dtype), -1)
    # The softmax stays last: Keras computes the loss from its logits.
    count = len(spec.tags.tags)
    outside = ops.pad((1.0 - real) * _OUTSIDE_LOGIT, [[0, 0], [0, 0], [0, count - 1]])
    logits = logits * real + outside
    return {"tags": keras.layers.Softmax(dtype=keras.config.floatx(), name="tags")(logits)}


def losses(spec: Spec, config: Config, class_counts: Mapping[str, int] | None = None) -> dict[str, keras.losses.Loss]:
    """Return the loss by output name.

    Args:
        spec: the task.
        config: its options.
        class_counts: training words by label, for ``class_weights = "balanced"``.

    Raises:
        ConfigError: ``balanced`` without counts, or a weight for an unknown label.
    """
    by_label = class_weights(config.class_weights, spec.label_names, class_counts)
    weights = None
    if by_label is not None:
        numbers = spec.tags.label_of(np.arange(len(spec.tags.tags)))
        weights = [float(by_label[number + 1]) for number in numbers]
    return {"tags": TagsLoss(len(spec.tags.tags), config.label_smoothing, weights)}


@keras.saving.register_keras_serializable("mmkeras")
class TagsLoss(keras.losses.Loss):
    """Mean cross-entropy of the words of a document that have a tag, weighted by tag.

    Targets are int (B, N), -1 for words without a tag; a document without tags has the loss 0.

    Args:
        classes: number of tags T.
        label_smoothing: share of the target spread over all tags.
        class_weights: weight of each tag, or None.
    """

    def __init__(
        self,
        classes: int,
        label_smoothing: float = 0.0,
        class_weights: Iterable[float] | None = None,
        name: str = "tags_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.label_smoothing = label_smoothing
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every document (B,)."""
        tags = ops.cast(y_true, "int32")
        real = ops.cast(ops.greater_equal(tags, 0), y_pred.dtype)
        tags = ops.maximum(tags, 0)
        one_hot = ops.one_hot(tags, self.classes, dtype=y_pred.dtype)
        loss = keras.losses.categorical_crossentropy(one_hot, y_pred, label_smoothing=self.label_smoothing)
        weight = real
        if self.class_weights is not None:
            weight = weight * ops.take(ops.convert_to_tensor(self.class_weights, dtype=y_pred.dtype), tags)
        # Divided by the number of words, not by their weights: a document of rare labels then counts more.
        return ops.sum(weight * loss, axis=-1) / ops.maximum(ops.sum(real, axis=-1), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights,
        }
