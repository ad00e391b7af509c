"""Random numbers for a part of a batch, equal to this part of the numbers for the whole batch.

With them, workers that share a batch augment it and apply dropout as one process does. TensorFlow's stateless generator
(Philox: Salmon et al. 2011, Parallel Random Numbers: As Easy as 1, 2, 3) has a counter: its n-th group of numbers
depends only on key and counter + n, so a part starts at a later counter.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["normal", "normal_part", "part_of_batch", "uniform", "uniform_part"]

_PHILOX = 1
"""TensorFlow's number of the algorithm, its default on CPUs and GPUs."""
_GROUP_BYTES = 16
"""Bytes per step of the counter; a number of 16 bits uses 32 bits."""

_first: ContextVar[int] = ContextVar("first", default=0)


@contextmanager
def part_of_batch(first: int) -> Iterator[None]:
    """Make `uniform` and `normal` return the numbers of the samples from ``first`` on in the whole batch."""
    token = _first.set(first)
    try:
        yield
    finally:
        _first.reset(token)


def uniform(shape: Any, seed: tf.Tensor, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
    """Draw float32 numbers from ``low`` up to, but not including, ``high``.

    The first dimension of ``shape`` is the number of samples; ``seed`` is int32 (2,).
    """
    import tensorflow as tf

    if _first.get() == 0:
        return tf.random.stateless_uniform(shape, seed, low, high)
    return uniform_part(shape, seed, _first.get()) * (high - low) + low


def normal(shape: Any, seed: tf.Tensor) -> tf.Tensor:
    """Draw float32 numbers of mean 0 and deviation 1; arguments as for `uniform`."""
    import tensorflow as tf

    if _first.get() == 0:
        return tf.random.stateless_normal(shape, seed)
    return normal_part(shape, seed, _first.get())


def uniform_part(shape: Any, seed: tf.Tensor, first: int | tf.Tensor, dtype: Any = "float32") -> tf.Tensor:
    """Draw numbers from 0 up to 1 for the samples from ``first`` on, in any floating dtype."""
    import tensorflow as tf

    return _part(tf.raw_ops.StatelessRandomUniformV2, shape, seed, first, dtype)


def normal_part(shape: Any, seed: tf.Tensor, first: int | tf.Tensor, dtype: Any = "float32") -> tf.Tensor:
    """Draw numbers of mean 0 and deviation 1 for the samples from ``first`` on."""
    import tensorflow as tf

    return _part(tf.raw_ops.StatelessRandomNormalV2, shape, seed, first, dtype)


def _part(draw: Any, shape: Any, seed: tf.Tensor, first: int | tf.Tensor, dtype: Any) -> tf.Tensor:
    import tensorflow as tf

    group = _GROUP_BYTES // max(4, tf.as_dtype(dtype).size)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    shape = tf.cast(tf.convert_to_tensor(shape), tf.int64)
    start = tf.cast(first, tf.int64) * tf.reduce_prod(shape[1:])
    skipped, rest = start // group, start % group
    # Only the low word of the counter changes. It is random, so even a draw of 2**32 numbers needs a carry only with a
    # probability of one in four thousand million.
    counter += tf.stack([tf.cast(skipped, tf.uint64), tf.constant(0, tf.uint64)])
    numbers = draw(shape=[tf.reduce_prod(shape) + rest], key=key, counter=counter, alg=_PHILOX, dtype=dtype)
    return tf.reshape(numbers[rest:], shape)
