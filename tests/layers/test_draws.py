from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmkeras.layers.draws import normal, part_of_batch, uniform, uniform_part

pytestmark = pytest.mark.tfio

SEED = (3, -4)


@pytest.mark.parametrize("inner", [(), (5,), (7,), (32, 3)])
def test_a_part_draws_what_it_gets_in_the_whole(inner):
    seed = tf.constant(SEED)
    low, high = uniform((24, *inner), seed, -1.0, 3.0).numpy(), normal((24, *inner), seed).numpy()
    for first, count in ((0, 6), (1, 6), (6, 6), (9, 3), (23, 1)):
        with part_of_batch(first):
            np.testing.assert_array_equal(uniform((count, *inner), seed, -1.0, 3.0), low[first : first + count])
            np.testing.assert_array_equal(normal((count, *inner), seed), high[first : first + count])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_every_floating_dtype_in_a_graph(dtype):
    whole = tf.random.stateless_uniform((24, 7), SEED, dtype=dtype)
    part = tf.function(lambda first: uniform_part((6, 7), tf.constant(SEED), first, dtype))(tf.constant(9))
    np.testing.assert_array_equal(part.numpy(), whole[9:15].numpy())


def test_the_whole_batch_is_what_tensorflow_draws():
    np.testing.assert_array_equal(uniform((4, 2), tf.constant(SEED)), tf.random.stateless_uniform((4, 2), SEED))
    np.testing.assert_array_equal(normal((4, 2), tf.constant(SEED)), tf.random.stateless_normal((4, 2), SEED))
