"""Makes training on several replicas equal to training on one: operations use the whole batch of all replicas.

- Batch normalization computes its moments over all replicas.
- Random numbers (dropout) are those of the same sample on one device.
- Losses that count or compare samples use the samples of all replicas (`mmkeras.layers.batch`).

`mmkeras.training.optimizer` sums the gradients. The only difference is the order of floating-point sums.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from mmkeras.layers.batch import spread_over
from mmkeras.layers.draws import normal_part, uniform_part

__all__ = ["whole_batches"]


@contextlib.contextmanager
def whole_batches(model: keras.Model, per_replica: int) -> Iterator[None]:
    """Use whole batches in the training of a model within the context.

    ``per_replica`` is the number of samples of a training batch on each replica.
    """
    layers = [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]
    for layer in layers:
        vars(layer)["_moments"] = _moments_of(layer, layer._moments)
    try:
        with _random_numbers(per_replica), spread_over(_Replicas()):
            yield
    finally:
        for layer in layers:
            del vars(layer)["_moments"]


def _replicas() -> tf.distribute.ReplicaContext | None:
    """Return the replica context of several replicas; None elsewhere."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


class _Replicas:
    """The replicas of a strategy for `mmkeras.layers.batch`; outside of replicas, one device with the whole batch."""

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        context = _replicas()
        if context is None:
            return tf.reduce_mean(values)
        total = tf.stack([tf.reduce_sum(values), tf.cast(tf.size(values), values.dtype)])
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, total)
        return total[0] / total[1]

    def rows(self, values: tf.Tensor) -> tf.Tensor:
        context = _replicas()
        values = tf.convert_to_tensor(values)
        if context is None:
            return values
        if values.dtype == tf.bool:
            return tf.cast(self.rows(tf.cast(values, tf.int32)), tf.bool)
        # A sum in which each replica fills its own rows: its gradient reaches all replicas, and unlike `all_gather` it
        # does not exchange the sizes first.
        count, replicas = tf.shape(values)[0], context.num_replicas_in_sync
        before = self.first(count)
        rows = [[before, replicas * count - count - before], *([0, 0] for _ in values.shape[1:])]
        whole = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(values, rows))
        known = values.shape[0]
        return tf.ensure_shape(whole, (None if known is None else replicas * known, *values.shape[1:]))

    def first(self, count: Any) -> Any:
        context = _replicas()
        return 0 if context is None else context.replica_id_in_sync_group * count


# === Batch normalization ===


def _moments_of(layer: keras.layers.BatchNormalization, local: Callable[..., Any]) -> Callable[..., Any]:
    """Return moments (C,) over the batches of all replicas, which must have the same size.

    Keras' own ``synchronized`` subtracts the square of the mean from the mean of squares, which is less exact than one
    process, and communicates three times. Here each replica writes its moments into a row of its own.
    """

    def moments(inputs: tf.Tensor, mask: Any) -> tuple[tf.Tensor, tf.Tensor]:
        context = _replicas()
        if context is None or mask is not None:
            return tuple(local(inputs, mask))
        mean, variance = tf.nn.moments(inputs, layer._reduction_axes)
        own = tf.one_hot(context.replica_id_in_sync_group, context.num_replicas_in_sync, dtype=inputs.dtype)
        rows = own[:, None] * tf.concat([mean, variance], axis=0)[None]
        rows = context.all_reduce(tf.distribute.ReduceOp.SUM, rows)
        means, variances = tf.split(rows, 2, axis=1)
        mean = tf.reduce_mean(means, axis=0)
        return mean, tf.reduce_mean(variances + tf.square(means - mean), axis=0)

    return moments


# === Random numbers ===


@contextlib.contextmanager
def _random_numbers(per_replica: int) -> Iterator[None]:
    """Let Keras' random operations draw the numbers that the samples of a replica have in the whole batch.

    If the first dimension is not a multiple of a replica's batch, the numbers do not belong to samples and are the same
    on all replicas.
    """
    random = keras.src.backend.random
    names = ("dropout", "uniform", "normal")
    before = {name: getattr(random, name) for name in names}

    def mine(draw: Callable[..., Any], shape: Any, seed: Any, dtype: Any) -> tf.Tensor | None:
        context, samples = _replicas(), (tuple(shape) or (None,))[0]
        if context is None or not isinstance(samples, int) or not samples or samples % per_replica:
            return None
        seed = random._cast_seed(random.draw_seed(seed))
        # A model may repeat the batch, one whole copy after another.
        replica, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        part = (per_replica, *shape[1:])
        firsts = [(whole * replicas + replica) * per_replica for whole in range(samples // per_replica)]
        return tf.concat([draw(part, seed, first, dtype) for first in firsts], axis=0)

    def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
        shape = tuple(inputs.shape) if noise_shape is None else tuple(noise_shape)
        shape = tuple(there if wanted is None else wanted for wanted, there in zip(shape, inputs.shape, strict=True))
        if rate in (0.0, 1.0) or (drawn := mine(uniform_part, shape, seed, inputs.dtype)) is None:
            return before["dropout"](inputs, rate, noise_shape=noise_shape, seed=seed)
        return tf.nn.experimental.general_dropout(inputs, rate, lambda shape, dtype: drawn, noise_shape=shape)

    def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
        dtype = dtype or keras.config.floatx()
        drawn = mine(uniform_part, shape, seed, dtype) if tf.as_dtype(dtype).is_floating else None
        if drawn is None:
            return before["uniform"](shape, minval, maxval, dtype=dtype, seed=seed)
        return drawn * tf.cast(maxval - minval, dtype) + tf.cast(minval, dtype)

    def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
        dtype = dtype or keras.config.floatx()
        if (drawn := mine(normal_part, shape, seed, dtype)) is None:
            return before["normal"](shape, mean, stddev, dtype=dtype, seed=seed)
        return drawn * tf.cast(stddev, dtype) + tf.cast(mean, dtype)

    for name, function in zip(names, (dropout, uniform, normal), strict=True):
        setattr(random, name, function)
    try:
        yield
    finally:
        for name in names:
            setattr(random, name, before[name])
