"""The batches of a stage, on one device or divided between the replicas of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from mmkeras.core.modalities import modality_configs
from mmkeras.data.arrays import NO_FROZEN
from mmkeras.data.dataset import eval_dataset, train_dataset
from mmkeras.data.frozen import FrozenPart
from mmkeras.data.index import Index
from mmkeras.data.seeds import derive
from mmkeras.data.shares import shared_dataset
from mmkeras.layers.draws import part_of_batch
from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.input_clock import InputClock
from mmkeras.training.methods._contract import TrainingMethod
from mmkeras.training.stages import Stage

__all__ = ["blocks", "training_batches", "validation_batches"]

_TRAINING, _VALIDATION = 3, 4
"""Purposes of a method's random numbers, in addition to those of `mmkeras.data.dataset`."""


def training_batches(
    index: Index,
    stage: Stage,
    cluster: Cluster,
    *,
    step: int,
    steps_per_epoch: int,
    clock: InputClock | None,
    frozen: Mapping[str, FrozenPart] = NO_FROZEN,
) -> tf.data.Dataset:
    """Return the endless batches from a step on, for one call of ``fit``; a clock measures the wait for them.

    The stage's ``train.batch_size`` is that of all replicas together. On a cluster, each element is the part of a batch
    for one replica; the parts of this worker's replicas follow each other. ``frozen`` has the parts of branches whose
    outputs are not computed again.
    """
    config, context = stage.config, stage.context
    train = config.train
    data = train_dataset(
        index,
        context.specs,
        modality_configs(config.model),
        context.task,
        batch_size=train.batch_size // cluster.workers,
        seed=train.seed,
        start_step=step,
        modality_dropout=train.modality_dropout,
        modality_dropout_start=round(train.modality_dropout_start * train.epochs * steps_per_epoch),
        cache=config.data.cache,
        shuffle_buffer=config.data.shuffle_buffer,
        num_shards=cluster.workers,
        shard=cluster.rank,
        frozen=frozen,
    )
    data = _by_method(data, stage, _TRAINING, step, cluster.rank * train.batch_size // cluster.workers)
    if cluster.replicas_here > 1:
        data = data.rebatch(train.batch_size // cluster.replicas, drop_remainder=True)
    if cluster.strategy is not None:
        # Otherwise the workers would communicate in every step to find out whether there is a next batch.
        data = data.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return data if clock is None else clock.watch(data)


def validation_batches(
    index: Index, stage: Stage, cluster: Cluster, frozen: Mapping[str, FrozenPart] = NO_FROZEN
) -> tf.data.Dataset | None:
    """Return one pass over the validation split, or this worker's part of it; None if the split is empty."""
    if not index.samples("validation"):
        return None
    specs, task = stage.context.specs, stage.context.task
    options: dict[str, Any] = {"batch_size": stage.config.evaluate.batch_size}
    if cluster.strategy is None:
        data = eval_dataset(index, "validation", specs, task, cache="memory", frozen=frozen, **options)
        return _by_method(data, stage, _VALIDATION, 0, 0)
    here = cluster.replicas_here
    options |= {"replicas": cluster.replicas, "first": cluster.rank * here, "count": here}
    # The parts of replicas differ in size: each worker draws its own random numbers.
    return _by_method(shared_dataset(index, "validation", specs, task, **options), stage, _VALIDATION, 0, cluster.rank)


def _by_method(data: tf.data.Dataset, stage: Stage, purpose: int, step: int, first: int) -> tf.data.Dataset:
    """Apply the ``batch`` of the stage's method to the batches of this worker.

    ``step`` is the number of the first batch, ``first`` the place of the worker's first sample in a batch of all
    workers.
    """
    method, context, seed = stage.method, stage.context, stage.config.train.seed
    if type(method).batch is TrainingMethod.batch:
        return data

    @tf.autograph.experimental.do_not_convert
    def changed(number: tf.Tensor, batch: Any) -> Any:
        with part_of_batch(first):
            inputs, targets, weights = batch
            made = method.batch(inputs, targets, weights, context, derive(seed, number, 0, purpose))
        # Replicas exchange batches by sums, which tf.distribute cannot compute for bool.
        return tf.nest.map_structure(lambda each: tf.cast(each, tf.int32) if each.dtype == tf.bool else each, made)

    steps = tf.data.Dataset.counter(step)
    options = tf.data.Options()
    options.deterministic = True
    made = tf.data.Dataset.zip(steps, data).map(changed, num_parallel_calls=tf.data.AUTOTUNE).with_options(options)
    return made.prefetch(tf.data.AUTOTUNE)


def blocks(step: int, epochs: int, steps_per_epoch: int) -> list[tuple[int, int, int]]:
    """Return (first epoch, last epoch, steps) of each call of ``fit``: the rest of an epoch, then the full epochs."""
    epoch, done = divmod(step, steps_per_epoch)
    if done == 0:
        return [(epoch, epochs, steps_per_epoch)]
    rest = [(epoch, epoch + 1, steps_per_epoch - done)]
    return rest if epoch + 1 == epochs else [*rest, (epoch + 1, epochs, steps_per_epoch)]
