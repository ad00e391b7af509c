"""Keras head of the multilabel task with its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
from keras import ops

from mmkeras.layers.encoded import pooled
from mmkeras.layers.tokens import Encoded
from mmkeras.tasks._labels import class_weights
from mmkeras.tasks.multilabel.spec import Config, Spec

__all__ = ["MultilabelLoss", "build", "losses"]


def build(encoded: Encoded, spec: Spec, config: Config) -> dict[str, Any]:
    """Return ``{"probabilities": (B, C) float32}`` from the pooled vector (B, D).

    Logits and sigmoid keep the full precision (floatx) under every policy.

    Raises:
        ConfigError: the fusion has no pooled vector.
    """
    x = keras.layers.Dropout(config.dropout, name="head_dropout")(pooled(encoded, spec.kind))
    x = keras.layers.Dense(len(spec.labels), dtype=keras.config.floatx(), name="head_logits")(x)
    return {"probabilities": keras.layers.Activation("sigmoid", dtype=keras.config.floatx(), name="probabilities")(x)}


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
        "probabilities": MultilabelLoss(
            label_smoothing=config.label_smoothing,
            focal_gamma=config.focal_gamma,
            class_weights=class_weights(config.class_weights, spec.labels, class_counts),
        )
    }


@keras.saving.register_keras_serializable("mmkeras")
class MultilabelLoss(keras.losses.Loss):
    """Binary cross-entropy of targets (B, C) and probabilities (B, C), averaged over the labels.

    Args:
        label_smoothing: share by which targets move towards 0.5.
        focal_gamma: focusing exponent; 0 is plain cross-entropy. Lin et al. 2017, without their constant alpha.
        class_weights: factor of the loss of each label where the label is set, or None.
    """

    # The probabilities must come straight from a sigmoid: Keras then computes the loss from its logits, and a confident
    # wrong answer keeps its full gradient (1.0 measured at a logit of 60), also with the focal factor.
    # keras.losses.binary_focal_crossentropy is the same product, but averages it before labels can be weighted.

    def __init__(
        self,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: Iterable[float] | None = None,
        name: str = "multilabel_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample (B,)."""
        target = y_true * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        loss = ops.binary_crossentropy(target, y_pred)
        if self.focal_gamma:
            agreement = target * y_pred + (1.0 - target) * (1.0 - y_pred)
            loss = ops.power(1.0 - agreement, self.focal_gamma) * loss
        if self.class_weights is not None:
            weights = ops.convert_to_tensor(self.class_weights, dtype=y_pred.dtype)
            loss = (1.0 + y_true * (weights - 1.0)) * loss
        return ops.mean(loss, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            "focal_gamma": self.focal_gamma,
            "class_weights": self.class_weights,
        }
