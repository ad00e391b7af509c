"""Supervised training of the run's model on the targets, with the losses of its head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import keras

from mmkeras.fusion._contract import fusion_of
from mmkeras.layers.batch import Losses
from mmkeras.model import task_config
from mmkeras.model.modules import head_of
from mmkeras.training.methods._contract import StageContext, TrainingMethod
from mmkeras.training.objective import ExtraOutputs

__all__ = ["Method"]


@dataclass(frozen=True)
class Method(TrainingMethod):
    """Train on the task's targets; the task's metric picks the best epoch."""

    has_task_outputs: ClassVar[bool] = True

    def losses(self, context: StageContext) -> Losses:
        """Return the losses of the task's head."""
        config = task_config(context.config.model)
        return head_of(context.task.kind).losses(context.task, config, context.class_counts)

    def extra_outputs(self, graph: keras.Model, context: StageContext) -> ExtraOutputs | None:
        """Return the extra outputs of the fusion."""
        return fusion_of(context.config.model.fusion.name).extra_outputs(graph)

    def monitor(self, context: StageContext) -> tuple[str, int]:
        """Return the task's metric on the validation split."""
        return f"val_{context.task.metric}", context.task.metric_sign
