"""The batches of a run, on one device or shared out to the replicas of a cluster."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mmkeras.core.config import RunConfig, modality_configs
from mmkeras.data.dataset import eval_dataset, train_dataset
from mmkeras.data.index import Index
from mmkeras.data.shares import shared_dataset
from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.input_clock import InputClock
from mmkeras.training.run import Run

__all__ = ["blocks", "training_batches", "validation_batches"]


def training_batches(
    index: Index,
    run: Run,
    config: RunConfig,
    cluster: Cluster,
    *,
    step: int,
    steps_per_epoch: int,
    clock: InputClock | None,
) -> tf.data.Dataset:
    """Return the endless batches from a step on; every call of ``fit`` begins its dataset anew.

    Args:
        index: the converted data.
        run: gives specs and task.
        config: its ``train.batch_size`` is that of all replicas together.
        cluster: on a replica a batch has its part alone; those of this worker's replicas come one after the other.
        step: batches left out.
        steps_per_epoch: for the start of modality dropout.
        clock: measures how long they are waited for.
    """
    train = config.train
    data = train_dataset(
        index,
        run.specs,
        modality_configs(config.model),
        run.task,
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
    if cluster.replicas_here > 1:
        data = data.rebatch(train.batch_size // cluster.replicas, drop_remainder=True)
    if cluster.strategy is not None:
        # Workers need not ask each other in every step whether there is more.
        data = data.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return data if clock is None else clock.watch(data)


def validation_batches(index: Index, run: Run, config: RunConfig, cluster: Cluster) -> tf.data.Dataset | None:
    """Return the validation split once, or this worker's part of it; None where there is none."""
    if not index.samples("validation"):
        return None
    options: dict[str, Any] = {"batch_size": config.evaluate.batch_size}
    if cluster.strategy is None:
        return eval_dataset(index, "validation", run.specs, run.task, cache="memory", **options)
    here = cluster.replicas_here
    options |= {"replicas": cluster.replicas, "first": cluster.rank * here, "count": here}
    return shared_dataset(index, "validation", run.specs, run.task, **options)


def blocks(step: int, epochs: int, steps_per_epoch: int) -> list[tuple[int, int, int]]:
    """Return (first epoch, last epoch, steps) of each call of ``fit``: the rest of a broken epoch, then the others."""
    epoch, done = divmod(step, steps_per_epoch)
    if done == 0:
        return [(epoch, epochs, steps_per_epoch)]
    rest = [(epoch, epoch + 1, steps_per_epoch - done)]
    return rest if epoch + 1 == epochs else [*rest, (epoch + 1, epochs, steps_per_epoch)]
