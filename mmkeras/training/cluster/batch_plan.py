"""Divides a batch between replicas, and computes the resulting batch size and learning rate."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from mmkeras.core.config import RunConfig, TrainConfig
from mmkeras.core.errors import ConfigError
from mmkeras.training.cluster.connect import Cluster

__all__ = ["BatchPlan", "plan_batch"]


@dataclass(frozen=True)
class BatchPlan:
    """The batch size and learning rate of a training."""

    kind: str
    """Description of the devices."""
    replicas: int
    """Number of devices."""
    per_replica: int
    """Samples of a batch on each device."""
    accumulate: int
    """Batches per update of the weights."""
    learning_rate: float
    given_rate: float
    """Learning rate of the configuration, before it is scaled."""

    @property
    def batch(self) -> int:
        """Samples of a training step on all replicas."""
        return self.replicas * self.per_replica

    def train(self, config: TrainConfig) -> TrainConfig:
        """Return the training configuration with this batch size and learning rate."""
        return dataclasses.replace(config, batch_size=self.batch, learning_rate=self.learning_rate)

    def explain(self) -> str:
        """Return a line with the numbers and their derivation."""
        batch = f"batch {self.batch}"
        if self.replicas > 1:
            batch += f" = {self.replicas} x {self.per_replica}"
        update = f", {self.accumulate} batches = {self.accumulate * self.batch} samples per update"
        scaled = f" (train.learning_rate {self.given_rate:g} scaled)" if self.learning_rate != self.given_rate else ""
        return (
            f"{self.kind}: {batch}{update if self.accumulate > 1 else ''}, "
            f"learning rate up to {self.learning_rate:g}{scaled}"
        )


def plan_batch(config: RunConfig, cluster: Cluster) -> BatchPlan:
    """Divide the batch.

    Raises:
        ConfigError: the batch cannot be divided evenly, or the settings exclude each other.
    """
    train, replicas = config.train, cluster.replicas
    if train.accumulate < 1:
        raise ConfigError(f"train.accumulate: expected 1 or more, got {train.accumulate}")
    if config.cluster.batch == "per_replica":
        per_replica, grown = train.batch_size, float(replicas)
    else:
        (per_replica, left), grown = divmod(train.batch_size, replicas), 1.0
        if left or not per_replica:
            near = [size for size in (per_replica * replicas, (per_replica + 1) * replicas) if size]
            raise ConfigError(
                f"train.batch_size: {train.batch_size} samples cannot be divided evenly between {replicas} devices; "
                f"use {' or '.join(str(size) for size in near)}, or cluster.batch = per_replica"
            )
    scaling = config.cluster.scale_learning_rate
    if scaling != "none" and config.cluster.batch == "global":
        raise ConfigError(
            f"cluster.scale_learning_rate: {scaling}, but with cluster.batch = global the batch does not grow with the "
            "devices, so there is nothing to scale; use none, or cluster.batch = per_replica"
        )
    factor = {"none": 1.0, "linear": grown, "sqrt": math.sqrt(grown)}[scaling]
    return BatchPlan(
        cluster.kind, replicas, per_replica, train.accumulate, train.learning_rate * factor, train.learning_rate
    )
