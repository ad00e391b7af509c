from __future__ import annotations

import time

import tensorflow as tf

from mmkeras.training.input_clock import InputClock


def _slow(seconds: float) -> tf.data.Dataset:
    def wait(x):
        def sleep(value):
            time.sleep(seconds)
            return value

        return tf.numpy_function(sleep, [x], tf.int64)

    return tf.data.Dataset.range(10).map(wait)


def test_it_adds_up_what_a_consumer_waits():
    clock = InputClock()
    assert [int(x) for x in clock.watch(_slow(0.05))] == list(range(10))
    assert clock.read() > 0.45
    assert clock.read() == 0.0


def test_it_does_not_count_what_was_ready():
    clock = InputClock()
    for _ in clock.watch(_slow(0.05).prefetch(10)):
        time.sleep(0.1)
    # Without the prefetching it would be half a second; only the first element had to be waited for.
    assert clock.read() < 0.4


def test_structures_pass_unchanged():
    data = tf.data.Dataset.from_tensors(({"a": tf.ones(2)}, {"b": tf.zeros(1)}, tf.constant(3.0)))
    inputs, target, weight = next(iter(InputClock().watch(data)))
    assert (inputs["a"].shape, target["b"].shape, float(weight)) == ((2,), (1,), 3.0)
