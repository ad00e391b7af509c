"""Dropout of features behind an encoder."""

from __future__ import annotations

import keras
import numpy as np

from mmkeras.layers.features import drop_features

VALUES = np.random.default_rng(0).normal(3.0, 2.0, (4, 6, 64)).astype("float32")


def _model(share: float) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 64))
    return keras.Model(inputs, drop_features(inputs, share, "image") + 0.0)


def test_without_a_share_nothing_changes():
    np.testing.assert_array_equal(_model(0.0)(VALUES, training=True), VALUES)


def test_features_are_normalised_and_whole_outside_of_training():
    found = np.asarray(_model(0.5)(VALUES, training=False))
    np.testing.assert_allclose(found.mean(-1), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std(-1), 1.0, atol=1e-2)


def test_all_tokens_of_a_sample_lose_the_same_features():
    lost = np.asarray(_model(0.5)(VALUES, training=True)) == 0.0
    assert 0.3 < lost.mean() < 0.7
    np.testing.assert_array_equal(lost, np.broadcast_to(lost[:, :1], lost.shape))
    assert not np.array_equal(lost[0], lost[1])
