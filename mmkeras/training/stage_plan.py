"""The plan and the result of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import ConfigError, TrainingError
from mmkeras.data.index import Index
from mmkeras.training.cluster.batch_plan import BatchPlan, plan_batch
from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.stages import Stage

__all__ = ["Fitted", "StagePlan", "plan_stage"]


@dataclass(frozen=True)
class Fitted:
    """The result of a training."""

    history: list[dict[str, float]]
    """Logs of every epoch."""
    best_epoch: int
    """The epoch of ``best.keras``, from 1."""
    stopped_early: bool
    """Whether early stopping ended the training."""

    def summary(self) -> dict[str, Any]:
        """Return the entry of run.json: the epochs, the best one, and its finite logs."""
        best = self.history[self.best_epoch - 1] if self.best_epoch else {}
        return {
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            "stopped_early": self.stopped_early,
            "best": {name: value for name, value in best.items() if np.isfinite(value)},
        }


@dataclass(frozen=True)
class StagePlan:
    """A stage whose batch is divided between the devices."""

    stage: Stage
    """The stage; its ``train`` has the batch size and learning rate of ``batch``."""
    batch: BatchPlan
    """The division of the batch."""
    steps_per_epoch: int
    """Steps of an epoch."""

    @property
    def steps(self) -> int:
        """Steps of the whole stage."""
        return self.stage.config.train.epochs * self.steps_per_epoch


def plan_stage(stage: Stage, index: Index, cluster: Cluster) -> StagePlan:
    """Divide the batch of a stage.

    Raises:
        ConfigError: the batch cannot be divided evenly, or several workers have a time limit.
        TrainingError: the training split is smaller than a batch.
    """
    if stage.config.train.max_minutes and cluster.members is not None:
        raise ConfigError("train.max_minutes: workers would end after different epochs. Set train.epochs instead")
    batch = plan_batch(stage.config, cluster)
    train, samples = batch.train(stage.config.train), index.splits["train"].samples
    if samples < train.batch_size:
        raise TrainingError(
            f"train.batch_size: {train.batch_size} samples in a step, but the training split has {samples}. "
            "Use a smaller batch or more data."
        )
    return StagePlan(stage.with_train(train), batch, train.steps_per_epoch or samples // train.batch_size)
