"""Losses of masks: what is ignored, weighed and asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.batch import LossContext
from mmkeras.modalities import Facts
from mmkeras.tasks.segmentation.losses import MaskLoss, prompted_loss
from mmkeras.tasks.segmentation.masks import NOT_ASKED, VOID
from mmkeras.tasks.segmentation.spec import Config

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, (2, 4, 5)).astype(np.uint8)
SCORES = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)


def _loss(truth: np.ndarray, scores: np.ndarray, **options: Any) -> np.ndarray:
    weights = options.pop("class_weights", [1.0] * scores.shape[-1])
    return np.asarray(MaskLoss(weights, **options).call(truth, ops.convert_to_tensor(scores)))


def _surprise(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    chances = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    return -np.log(np.take_along_axis(chances, truth[..., None].astype(int), axis=-1)[..., 0])


def test_pixels_without_a_class_change_nothing() -> None:
    truth = TRUTH.copy()
    truth[:, 0] = VOID
    other = SCORES.copy()
    other[:, 0] = 50.0 * RNG.normal(size=other[:, 0].shape)
    for options in ({}, {"focal_gamma": 2.0}, {"dice_weight": 1.0}):
        np.testing.assert_allclose(_loss(truth, SCORES, **options), _loss(truth, other, **options), rtol=1e-5)
    np.testing.assert_allclose(_loss(truth, SCORES), _surprise(TRUTH, SCORES)[:, 1:].mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(_loss(np.full_like(TRUTH, VOID), SCORES, dice_weight=1.0), 0.0)


def test_weights_and_focus_multiply_the_cross_entropy() -> None:
    surprise = _surprise(TRUTH, SCORES)
    weights = np.array([1.0, 2.0, 0.5])
    expected = (weights[TRUTH] * (1 - np.exp(-surprise)) ** 2 * surprise).mean(axis=(1, 2))
    np.testing.assert_allclose(_loss(TRUTH, SCORES, class_weights=weights, focal_gamma=2.0), expected, rtol=1e-5)


def test_dice_is_that_of_the_classes_of_the_sample() -> None:
    truth = np.where(TRUTH == 2, 0, TRUTH)
    chances = np.exp(SCORES) / np.exp(SCORES).sum(axis=-1, keepdims=True)
    dice = [2 * chances[..., c][truth == c].sum() / ((truth == c).sum() + chances[..., c].sum()) for c in (0, 1)]
    one = _loss(truth.reshape(1, 8, 5), SCORES.reshape(1, 8, 5, 3), dice_weight=1.0)
    plain = _loss(truth.reshape(1, 8, 5), SCORES.reshape(1, 8, 5, 3))
    assert (one - plain)[0] == pytest.approx(1 - np.mean(dice), rel=1e-5)


def test_a_missing_text_asks_for_all_classes() -> None:
    hook = prompted_loss(MaskLoss([1.0] * 4), "text", 3)
    scores = RNG.normal(size=(2, 4, 5, 4)).astype(np.float32)
    encoded = np.where(TRUTH == 1, TRUTH, TRUTH + NOT_ASKED).astype(np.uint8)
    encoded[:, 0] = VOID
    context = LossContext(np.ones(2))

    def loss(inputs: dict[str, Any]) -> np.ndarray:
        outputs = dict.fromkeys(("mask", "mask_alone"), ops.convert_to_tensor(scores))
        found = hook(outputs, {"mask": encoded}, inputs, context)
        np.testing.assert_allclose(np.asarray(found["mask_alone"]), all_classes, rtol=1e-6)
        return np.asarray(found["mask"])

    every = np.where(encoded == VOID, VOID, TRUTH)
    named = np.where((encoded != VOID) & (TRUTH != 1), 3, every)
    asked, all_classes = _loss(named, scores), _loss(every, scores)
    present = ops.convert_to_tensor(np.array([1.0, 0.0], np.float32))
    np.testing.assert_allclose(loss({"text_present": present}), [asked[0], all_classes[1]], rtol=1e-6)
    np.testing.assert_allclose(loss({}), asked, rtol=1e-6)  # a model without the text


def test_the_balance_is_read_from_the_training_masks() -> None:
    config = Config(("sky", "road", "car"), size=(2, 4), balance=0.5)
    masks = np.array([[[0, 0, 0, 0], [1, 1 + NOT_ASKED, 2, VOID]]], np.uint8)
    done = config.completed(Facts(targets=lambda: iter([masks])))
    assert done.pixel_shares == pytest.approx((4 / 7, 2 / 7, 1 / 7))
    assert done.class_weights() == pytest.approx((2**-0.5, 1.0, 2**0.5))
    with pytest.raises(ConfigError, match="no training mask has a pixel of car"):
        config.completed(Facts(targets=lambda: iter([np.minimum(masks, 1)])))
