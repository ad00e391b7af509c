"""Distributes a model's training over the replicas of a cluster: its data, its steps, and fixes for Keras."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from mmkeras.training.cluster.agreement import Agreement
from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.cluster.global_batch import whole_batches
from mmkeras.training.cluster.keras_faults import faults_fixed, replaced_methods

__all__ = ["distributed", "spread"]


@contextlib.contextmanager
def spread(
    model: keras.Model, cluster: Cluster, per_replica: int, element: Any, agreement: Agreement | None
) -> Iterator[None]:
    """Let ``fit`` of a model inside train on all replicas as on one device with the whole batch.

    The model is built and compiled in the cluster's scope. ``element`` are the specs (`tf.TensorSpec`) of a replica's
    batch of ``per_replica`` samples; ``agreement`` lets workers agree to stop, None for a single worker.
    """
    if cluster.strategy is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(whole_batches(model, per_replica))
        if agreement is not None:
            counted = agreement.counting(model.train_step)
            stack.enter_context(replaced_methods(model, {"train_step": counted}))
        if cluster.members is not None:
            stack.enter_context(faults_fixed(model, element))
        yield


def distributed(cluster: Cluster, dataset: tf.data.Dataset) -> Any:
    """Return the argument of ``fit`` for a dataset of the batches of this worker's replicas, one by one.

    Without a strategy it is the dataset itself. An endless dataset needs an infinite cardinality, or every step asks
    all workers for more.
    """
    if cluster.strategy is None:
        return dataset
    return cluster.strategy.distribute_datasets_from_function(lambda _: dataset)
