"""Random numbers that depend on a seed and a position alone, so that a stream can start at any step."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["derive", "shuffled_positions"]


def derive(seed: int | tf.Tensor, *parts: int | tf.Tensor) -> tf.Tensor:
    """Return a stateless seed int32 (2,) for a seed and any whole numbers, such as step, worker and purpose.

    The data uses only stateless operations, because the others also depend on TensorFlow's global seed.
    """
    base = tf.stack([tf.cast(seed, tf.int64), tf.constant(0, tf.int64)])
    for part in parts:
        base = tf.random.experimental.stateless_fold_in(base, tf.cast(part, tf.int64))
    return tf.bitcast(base, tf.int32)[:, 0]


def shuffled_positions(samples: int, seed: int, start: int) -> tf.data.Dataset:
    """Return an endless stream of shuffled passes over ``samples`` numbers, int64 scalars, from element ``start`` on.

    Each pass is a permutation of its own; skipped passes cost nothing.
    """

    @tf.autograph.experimental.do_not_convert
    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(samples, dtype=tf.int64), derive(seed, 0, number))
        return tf.data.Dataset.from_tensor_slices(order)

    passes = tf.data.Dataset.counter(start // samples).flat_map(one_pass)
    return passes.skip(start % samples)
