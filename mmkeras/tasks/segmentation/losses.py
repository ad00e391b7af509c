"""Losses of masks: cross-entropy, focal and dice, without the pixels of no class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
from keras import ops

from mmkeras.layers.batch import LossContext, LossHook
from mmkeras.tasks.segmentation.masks import NOT_ASKED, VOID

__all__ = ["MaskLoss", "prompted_loss"]


@keras.saving.register_keras_serializable("mmkeras")
class MaskLoss(keras.losses.Loss):
    """Loss of scores (B, H, W, K) before a softmax, for int classes (B, H, W); others than 0 .. K - 1 are ignored.

    It is the mean over the pixels of a sample of weight * (1 - p)**gamma * cross-entropy, where p is the probability of
    the true class (Lin et al. 2017, arXiv:1708.02002), plus ``dice_weight`` times 1 - the mean dice coefficient of the
    classes of the sample (Milletari et al. 2016, arXiv:1606.04797).

    Args:
        class_weights: weight of each class (K,).
        focal_gamma: focusing exponent; 0 is plain cross-entropy.
        dice_weight: weight of the dice loss.
    """

    def __init__(
        self,
        class_weights: Iterable[float],
        focal_gamma: float = 0.0,
        dice_weight: float = 0.0,
        name: str = "mask_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.class_weights = [float(weight) for weight in class_weights]
        self.focal_gamma = focal_gamma
        self.dice_weight = dice_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample (B,)."""
        classes, kind = len(self.class_weights), y_pred.dtype
        index = ops.cast(y_true, "int32")
        known = ops.logical_and(index >= 0, index < classes)
        index = ops.where(known, index, 0)
        counted = ops.cast(known, kind)
        log_probabilities = ops.log_softmax(y_pred, axis=-1)
        one_hot = ops.one_hot(index, classes, dtype=kind) * ops.expand_dims(counted, -1)
        weighted = one_hot * ops.convert_to_tensor(self.class_weights, dtype=kind)
        loss = -ops.sum(weighted * log_probabilities, axis=-1)
        if self.focal_gamma:
            own = ops.exp(ops.sum(one_hot * log_probabilities, axis=-1))
            loss = ops.power(ops.maximum(1.0 - own, 1e-6), self.focal_gamma) * loss
        pixels = ops.maximum(ops.sum(counted, axis=(1, 2)), 1.0)
        loss = ops.sum(loss, axis=(1, 2)) / pixels
        if self.dice_weight:
            loss = loss + self.dice_weight * _dice(one_hot, ops.exp(log_probabilities), counted)
        return loss

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        own = {name: getattr(self, name) for name in ("class_weights", "focal_gamma", "dice_weight")}
        return {**super().get_config(), **own}


def _dice(one_hot: Any, probabilities: Any, counted: Any) -> Any:
    """Return 1 - the mean dice coefficient (B,) over the classes of each sample; 0 without one."""
    both = ops.sum(one_hot * probabilities, axis=(1, 2))
    true = ops.sum(one_hot, axis=(1, 2))
    said = ops.sum(probabilities * ops.expand_dims(counted, -1), axis=(1, 2))
    there = ops.cast(true > 0, probabilities.dtype)
    lost = there * (1.0 - 2.0 * both / ops.maximum(true + said, 1.0))
    return ops.sum(lost, axis=-1) / ops.maximum(ops.sum(there, axis=-1), 1.0)


def prompted_loss(loss: MaskLoss, prompt: str, classes: int) -> LossHook:
    """Return a loss hook for masks that a text restricts.

    Where the text is missing, in the data, by modality dropout, or in an extra output ``<output>_alone``, all
    ``classes`` of the picture are the answer.

    Args:
        loss: of the scores, for classes + 1 values.
        prompt: the modality of the text; a model without it answers what the texts name.
        classes: number of labels.
    """

    def hook(
        outputs: Mapping[str, Any], targets: Mapping[str, Any], inputs: Mapping[str, Any], context: LossContext
    ) -> dict[str, Any]:
        encoded = ops.cast(targets["mask"], "int32")
        void = encoded == VOID
        every = ops.where(void, VOID, encoded % NOT_ASKED)
        named = ops.where(ops.logical_and(encoded >= NOT_ASKED, ops.logical_not(void)), classes, encoded)
        if f"{prompt}_present" in inputs:
            asked = ops.reshape(inputs[f"{prompt}_present"], (-1, 1, 1)) > 0
            named = ops.where(asked, named, every)
        # The extra output of a fusion, computed as if the other modalities were missing.
        parts = {name: every if name.endswith("_alone") else named for name in outputs}
        return {name: loss.call(wanted, outputs[name]) for name, wanted in parts.items()}

    return hook
