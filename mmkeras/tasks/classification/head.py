"""Keras head of the classification task with its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
from keras import ops

from mmkeras.layers.encoded import pooled
from mmkeras.layers.tokens import Encoded
from mmkeras.tasks._labels import class_weights
from mmkeras.tasks.classification.spec import Config, Spec

__all__ = ["ClassificationLoss", "build", "losses"]


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    """Return ``{"probabilities": (B, C) float32}`` from the pooled vector (B, D).

    Logits and softmax keep the full precision (floatx) under every policy.

    Raises:
        ConfigError: the fusion has no pooled vector.
    """
    x = keras.layers.Dropout(config.dropout, name="head_dropout")(pooled(encoded, spec.kind))
    x = keras.layers.Dense(len(spec.labels), dtype=keras.config.floatx(), name="head_logits")(x)
    return {"probabilities": keras.layers.Softmax(dtype=keras.config.floatx(), name="probabilities")(x)}


def losses(spec: Spec, config: Config, class_counts: Mapping[str, int] | None = None) -> dict[str, keras.losses.Loss]:
    """Return the loss by output name. It includes the class weights, so that sample weights are free for the data.

    Args:
        spec: the task.
        config: its options.
        class_counts: training samples by label, for ``class_weights = "balanced"``.

    Raises:
        ConfigError: ``balanced`` without counts, or a weight for an unknown label.
    """
    return {
        "probabilities": ClassificationLoss(
            classes=len(spec.labels),
            label_smoothing=config.label_smoothing,
            focal_gamma=config.focal_gamma,
            class_weights=class_weights(config.class_weights, spec.labels, class_counts),
        )
    }


@keras.saving.register_keras_serializable("mmkeras")
class ClassificationLoss(keras.losses.Loss):
    """Cross-entropy of int class indices (B,) and probabilities (B, C), smoothed or focal, weighted by class.

    Focal loss: Lin et al. 2017, https://arxiv.org/abs/1708.02002, without its constant alpha.

    Args:
        classes: number of classes C.
        label_smoothing: share of the target spread over all classes.
        focal_gamma: focusing exponent; 0 is plain cross-entropy.
        class_weights: weight of each class, or None.
    """

    # The probabilities must come straight from a softmax: Keras then computes the loss from its logits, and a confident
    # wrong answer keeps its full gradient (1.0 measured at a logit margin of 60, against 0.0 with the clipped logarithm
    # of a probability). keras.losses.CategoricalFocalCrossentropy clips at 1e-7 and has no gradient beyond a margin
    # of 16; the focal factor times Keras' cross-entropy equals it everywhere else.

    def __init__(
        self,
        classes: int,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: Iterable[float] | None = None,
        name: str = "classification_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample (B,)."""
        index = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        one_hot = ops.one_hot(index, self.classes, dtype=y_pred.dtype)
        loss = keras.losses.categorical_crossentropy(one_hot, y_pred, label_smoothing=self.label_smoothing)
        if self.focal_gamma:
            loss = ops.power(1.0 - ops.sum(one_hot * y_pred, axis=-1), self.focal_gamma) * loss
        if self.class_weights is not None:
            loss = ops.take(ops.convert_to_tensor(self.class_weights, dtype=y_pred.dtype), index) * loss
        return loss

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "label_smoothing": self.label_smoothing,
            "focal_gamma": self.focal_gamma,
            "class_weights": self.class_weights,
        }
