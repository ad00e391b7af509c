"""Measures inside the dataset how long training waits for its input."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["InputClock"]


class InputClock:
    """Adds up the seconds that a consumer waits for batches.

    ``zip`` computes its elements in order and in the consumer's thread: first a time stamp, then the batch. A map then
    adds the difference to a variable. A prefetch behind it would hide the wait.
    """

    def __init__(self) -> None:
        with tf.device("CPU:0"):
            self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="input_wait")

    def watch(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Return a dataset with the same elements that measures the waits."""

        def stamp(_: tf.Tensor) -> tf.Tensor:
            return tf.timestamp()

        def measure(before: tf.Tensor, element: tuple) -> tuple:
            with tf.control_dependencies([self._seconds.assign_add(tf.timestamp() - before)]):
                return tf.nest.map_structure(tf.identity, element)

        watched = tf.data.Dataset.zip((tf.data.Dataset.counter().map(stamp), dataset)).map(measure)
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False
        return watched.with_options(options)

    def read(self) -> float:
        """Return the seconds waited since the last call."""
        seconds = float(self._seconds.numpy())
        self._seconds.assign(0.0)
        return seconds
