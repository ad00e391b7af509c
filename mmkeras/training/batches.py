"""The batches of a run, on one device or shared out to the replicas of a cluster."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mmkeras.core.config import modality_configs
from mmkeras.data.dataset import eval_dataset, train_dataset
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
"""Purposes of a method's random numbers, next to those of `mmkeras.data.dataset`."""


def training_batches(
    index: Index,
    stage: Stage,
    cluster: Cluster,
    *,
    step: int,
    steps_per_epoch: int,
    clock: InputClock | None,
) -> tf.data.Dataset:
    """Return the endless batches from a step on; every call of ``fit`` begins its dataset anew.

    Args:
        index: the converted data.
        stage: its ``train.batch_size`` is that of all replicas together.
        cluster: on a replica a batch has its part alone; those of this worker's replicas come one after the other.
        step: batches left out.
        steps_per_epoch: for the start of modality dropout.
        clock: measures how long they are waited for.
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
    )
    data = _by_method(data, stage, _TRAINING, step, cluster.rank * train.batch_size // cluster.workers)
    if cluster.replicas_here > 1:
        data = data.rebatch(train.batch_size // cluster.replicas, drop_remainder=True)
    if cluster.strategy is not None:
        # Workers need not ask each other in every step whether there is more.
        data = data.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return data if clock is None else clock.watch(data)


def validation_batches(index: Index, stage: Stage, cluster: Cluster) -> tf.data.Dataset | None:
    """Return the validation split once, or this worker's part of it; None where there is none."""
    if not index.samples("validation"):
        return None
    specs, task = stage.context.specs, stage.context.task
    options: dict[str, Any] = {"batch_size": stage.config.evaluate.batch_size}
    if cluster.strategy is None:
        data = eval_dataset(index, "validation", specs, task, cache="memory", **options)
        return _by_method(data, stage, _VALIDATION, 0, 0)
    here = cluster.replicas_here
    options |= {"replicas": cluster.replicas, "first": cluster.rank * here, "count": here}
    # The parts of replicas differ in size: each draws numbers of its own.
    return _by_method(shared_dataset(index, "validation", specs, task, **options), stage, _VALIDATION, 0, cluster.rank)


def _by_method(data: tf.data.Dataset, stage: Stage, purpose: int, step: int, first: int) -> tf.data.Dataset:
    """Return batches as the stage's method makes them.

    Args:
        data: batches of this worker.
        stage: the stage.
        purpose: of the random numbers.
        step: number of the first batch.
        first: place of the worker's first sample in a batch of all workers.
    """
    method, context, seed = stage.method, stage.context, stage.config.train.seed
    if type(method).batch is TrainingMethod.batch:
        return data

    @tf.autograph.experimental.do_not_convert
    def changed(number: tf.Tensor, batch: Any) -> Any:
        with part_of_batch(first):
            inputs, targets, weights = batch
            made = method.batch(inputs, targets, weights, context, derive(seed, number, 0, purpose))
        # Replicas add up what they have in common of a batch, which tf.distribute cannot do with bool.
        return tf.nest.map_structure(lambda each: tf.cast(each, tf.int32) if each.dtype == tf.bool else each, made)

    steps = tf.data.Dataset.counter(step)
    options = tf.data.Options()
    options.deterministic = True
    made = tf.data.Dataset.zip(steps, data).map(changed, num_parallel_calls=tf.data.AUTOTUNE).with_options(options)
    return made.prefetch(tf.data.AUTOTUNE)


def blocks(step: int, epochs: int, steps_per_epoch: int) -> list[tuple[int, int, int]]:
    """Return (first epoch, last epoch, steps) of each call of ``fit``: the rest of a broken epoch, then the others."""
    epoch, done = divmod(step, steps_per_epoch)
    if done == 0:
        return [(epoch, epochs, steps_per_epoch)]
    rest = [(epoch, epoch + 1, steps_per_epoch - done)]
    return rest if epoch + 1 == epochs else [*rest, (epoch + 1, epochs, steps_per_epoch)]
