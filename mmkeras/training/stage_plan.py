"""What a stage is about to do, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import TrainingError
from mmkeras.data.index import Index
from mmkeras.training.cluster.batch_plan import BatchPlan, plan_batch
from mmkeras.training.cluster.connect import Cluster
from mmkeras.training.stages import Stage

__all__ = ["Fitted", "StagePlan", "plan_stage"]


@dataclass(frozen=True)
class Fitted:
    """What training came to."""

    history: list[dict[str, float]]
    """Logs of every epoch."""
    best_epoch: int
    """The epoch, from 1, that ``best.keras`` is from."""
    stopped_early: bool
    """Whether early stopping ended it."""

    def summary(self) -> dict[str, Any]:
        """Return what run.json says of a stage: epochs, the best one, and its logs that are finite."""
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
    """Its ``train`` has the batch size and the learning rate as they are."""
    batch: BatchPlan
    """How the batch is divided."""
    steps_per_epoch: int
    """Steps of an epoch."""

    @property
    def steps(self) -> int:
        """Steps of the whole stage."""
        return self.stage.config.train.epochs * self.steps_per_epoch


def plan_stage(stage: Stage, index: Index, cluster: Cluster) -> StagePlan:
    """Divide the batch of a stage.

    Raises:
        ConfigError: the batch cannot be shared evenly.
        TrainingError: the training split is smaller than a batch.
    """
    batch = plan_batch(stage.config, cluster)
    train, samples = batch.train(stage.config.train), index.splits["train"].samples
    if samples < train.batch_size:
        raise TrainingError(
            f"train.batch_size: {train.batch_size} samples in a step, but the training split has {samples}. "
            "Use a smaller batch or more data."
        )
    return StagePlan(stage.with_train(train), batch, train.steps_per_epoch or samples // train.batch_size)
