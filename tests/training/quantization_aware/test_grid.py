"""The int8 grid in float arithmetic, held to plain integer arithmetic."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.training.quantization_aware.grid import ActivationRange, rounded_kernel

RNG = np.random.default_rng(0)


def integers(kernel: np.ndarray, summed: tuple[int, ...] | None) -> np.ndarray:
    """Quantise as an exporter does: round(w / scale) * scale, 127 steps on either side."""
    scale = np.maximum(np.abs(kernel).max(axis=summed, keepdims=summed is not None), 1e-6) / 127
    return np.clip(np.rint(kernel / scale), -127, 127) * scale


@pytest.mark.parametrize(
    ("shape", "summed"),
    [
        ((3, 3, 4, 8), (0, 1, 2)),  # a convolution
        ((5, 5, 6, 2), (0, 1)),  # a depthwise one with two filters for each channel
        ((16, 4), (0,)),  # Dense
        ((8, 2, 4), (0,)),  # attention's query: heads and their width are output channels
        ((2, 4, 8), (0, 1)),  # attention's output
    ],
)
def test_every_output_channel_has_its_own_scale(shape, summed):
    kernel = RNG.normal(size=shape).astype("float32") * RNG.uniform(0.01, 10, shape[-1]).astype("float32")
    got = keras.ops.convert_to_numpy(rounded_kernel(keras.ops.convert_to_tensor(kernel), summed))
    np.testing.assert_allclose(got, integers(kernel, summed), rtol=1e-5, atol=1e-6)


def test_a_dense_layer_may_have_one_scale():
    kernel = RNG.uniform(-1, 1, size=(16, 4)).astype("float32")
    kernel[0, 0] = 50.0
    got = keras.ops.convert_to_numpy(rounded_kernel(kernel, (0,), per_channel=False))
    np.testing.assert_allclose(got, integers(kernel, None), rtol=1e-5, atol=1e-6)
    assert len(np.unique(got[:, 1])) <= 7, "a step is 50 / 127: the outlier of one channel leaves the others -3 to 3"


def test_a_channel_of_zeros_stays_zero():
    kernel = np.zeros((4, 3), "float32")
    kernel[:, 1] = 1.0
    assert np.array_equal(keras.ops.convert_to_numpy(rounded_kernel(kernel, (0,))), kernel)


def test_rounding_is_the_same_before_and_after_batch_normalisation_is_folded():
    kernel = RNG.normal(size=(3, 3, 4, 8)).astype("float32")
    folded = np.abs(RNG.normal(size=8)).astype("float32") + 0.1
    before = keras.ops.convert_to_numpy(rounded_kernel(kernel, (0, 1, 2))) * folded
    after = keras.ops.convert_to_numpy(rounded_kernel(kernel * folded, (0, 1, 2)))
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-6)


def test_gradients_pass_straight_through_the_rounding_of_weights():
    kernel = tf.Variable(RNG.normal(size=(6, 4)).astype("float32"))
    upstream = RNG.normal(size=(6, 4)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(rounded_kernel(kernel, (0,)) * upstream)
    np.testing.assert_allclose(tape.gradient(loss, kernel), upstream, atol=1e-6)


def ranged(low: float, high: float, symmetric: bool = False) -> ActivationRange:
    layer = ActivationRange(symmetric, momentum=0.9)
    layer.build()
    layer.assign(low, high)
    return layer


@pytest.mark.parametrize("symmetric", [False, True])
def test_activations_are_rounded_within_their_range_and_cut_outside_it(symmetric):
    layer = ranged(-1.0, 3.0, symmetric)
    step = 3.0 / 127 if symmetric else 4.0 / 255
    inside = np.linspace(-1, 3, 999).astype("float32")
    got = keras.ops.convert_to_numpy(layer(inside))
    assert np.abs(got - inside).max() <= step / 2 + step / 100 + step  # the range's ends move to the grid
    assert np.abs(got[5:-5] - inside[5:-5]).max() <= step / 2 + 1e-5
    assert keras.ops.convert_to_numpy(layer(np.array([0.0, 99.0, -99.0], np.float32))) == pytest.approx(
        [0.0, 3.0, -3.0 if symmetric else -1.0], abs=step
    )
    assert len(np.unique(got)) <= 256


def test_a_range_always_holds_zero():
    got = keras.ops.convert_to_numpy(ranged(2.0, 3.0)(np.array([0.0, 2.5], np.float32)))
    assert got == pytest.approx([0.0, 2.5], abs=3 / 255)
    got = keras.ops.convert_to_numpy(ranged(-3.0, -2.0)(np.array([0.0, -2.5], np.float32)))
    assert got == pytest.approx([0.0, -2.5], abs=3 / 255)


def test_a_range_widens_at_once_and_narrows_slowly_in_training_alone():
    layer = ranged(0.0, 1.0)
    values = np.array([-1.0, 2.0], np.float32)
    layer(values)
    assert (float(layer.minimum.value), float(layer.maximum.value)) == (0.0, 1.0)
    layer(values, training=True)
    assert (float(layer.minimum.value), float(layer.maximum.value)) == (-1.0, 2.0)
    layer(values / 2, training=True)
    assert (float(layer.minimum.value), float(layer.maximum.value)) == pytest.approx((-0.95, 1.9))


def test_the_largest_values_of_a_training_batch_still_learn():
    layer = ranged(0.0, 1.0)
    values = tf.Variable([-5.0, -4.9, 0.5, 6.9, 7.0])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(values, training=True))
    # The range's ends move to the grid by up to half a step, which may leave out the very last value.
    assert tape.gradient(loss, values).numpy()[1:4].tolist() == [1.0, 1.0, 1.0]


def test_gradients_of_activations_end_outside_the_range():
    layer = ranged(0.0, 1.0)
    values = tf.Variable([-0.5, 0.5, 1.5])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(values))
    assert tape.gradient(loss, values).numpy().tolist() == [0.0, 1.0, 0.0]


def test_a_range_is_built_again_from_its_configuration():
    config = ActivationRange(True, 0.7).get_config()
    copy = ActivationRange.from_config(config)
    assert (copy.symmetric, copy.momentum) == (True, 0.7)
