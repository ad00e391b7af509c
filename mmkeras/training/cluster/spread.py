"""Distributes a model's training over the replicas of a cluster, and stops all workers after the same step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.cluster.global_batch import whole_batches
from mmkeras.training.cluster.keras_faults import faults_fixed, replaced_methods

__all__ = ["Agreement", "distributed", "spread"]


class Agreement:
    """A stop request that all workers receive in the same step: if one stopped earlier, the others would wait for it.

    Each step sums the requests of all replicas in an all-reduce of one number. The sum is read only every ``every``
    steps, because reading waits for the device.
    """

    def __init__(self, every: int = 1) -> None:
        with tf.device("CPU:0"):
            self._request = tf.Variable(0.0, trainable=False, name="stop_requested")
            self._sum = tf.Variable(0.0, trainable=False, name="stop_requests")
        self._every = every
        self._steps = 0

    def request(self) -> None:
        """Request a stop; call it between two steps."""
        self._request.assign(1.0)

    def counting(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a training step that also sums the requests."""

        def counted(data: Any) -> Any:
            context = tf.distribute.get_replica_context()
            self._sum.assign(context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(self._request)))
            return step(data)

        return counted

    def reached(self) -> bool:
        """Return whether to stop now, the same on all workers; call it after each step."""
        self._steps += 1
        return self._steps % self._every == 0 and float(self._sum.numpy()) > 0


@contextlib.contextmanager
def spread(
    model: keras.Model, cluster: Cluster, per_replica: int, element: Any, agreement: Agreement | None
) -> Iterator[None]:
    """Let ``fit`` train a model within the context on all replicas, as on one device with the whole batch.

    Build and compile the model in the cluster's scope. ``element`` has the specs (`tf.TensorSpec`) of a replica's batch
    of ``per_replica`` samples. ``agreement`` stops all workers after the same step; None for a single worker.
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
    """Return the argument of ``fit`` for a dataset whose elements are the batches of this worker's replicas.

    Without a strategy it is the dataset itself. Set the cardinality of an endless dataset to infinite; otherwise the
    workers communicate in every step to find out whether there is a next batch.
    """
    if cluster.strategy is None:
        return dataset
    return cluster.strategy.distribute_datasets_from_function(lambda _: dataset)
