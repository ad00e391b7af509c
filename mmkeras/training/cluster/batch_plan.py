"""How a batch is divided between replicas, and the resulting batch size and learning rate."""

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
    """The batch size and learning rate that are used."""

    kind: str
    replicas: int
    """Devices that share a batch."""
    per_replica: int
    """Samples of a batch on each device."""
    accumulate: int
    """Batches per update of the weights."""
    learning_rate: float
    given_rate: float

    @property
    def batch(self) -> int:
        """Samples of a training step on all replicas."""
        return self.replicas * self.per_replica

    def train(self, config: TrainConfig) -> TrainConfig:
        """Return the training configuration with this batch size and learning rate."""
        return dataclasses.replace(config, batch_size=self.batch, learning_rate=self.learning_rate)

    def explain(self) -> str:
        """Return one line with the numbers and their derivation."""
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
    """Divide the batch."""
    train, replicas = config.train, cluster.replicas
    if train.accumulate < 1:
        raise ConfigError(f"train.accumulate: expected 1 or more, got {train.accumulate}")
    if config.cluster.batch == "per_replica":
        per_replica = train.batch_size
        grown = float(replicas)
    else:
        per_replica, left = divmod(train.batch_size, replicas)
        grown = 1.0
        if left or not per_replica:
            near = [size for size in (per_replica * replicas, (per_replica + 1) * replicas) if size]
            raise ConfigError(
                f"train.batch_size: {train.batch_size} samples cannot be shared evenly by {replicas} devices; use "
                f"{' or '.join(str(size) for size in near)}, or cluster.batch = per_replica"
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
