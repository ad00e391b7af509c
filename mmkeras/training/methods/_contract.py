"""The interface of a training method, with its defaults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from mmkeras.core.config import RunConfig
from mmkeras.layers.batch import Losses
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.training.objective import ExtraOutputs

__all__ = ["StageContext", "Tensors", "TrainingMethod"]

Tensors = dict[str, Any]
"""Tensors (B, ...) by name."""


@dataclass(frozen=True)
class StageContext:
    """The data of a run for a training method."""

    config: RunConfig
    """The resolved configuration with the stage's own ``train``."""
    specs: Mapping[str, ModalitySpec]
    """Modality specs by name."""
    task: TaskSpec
    """The task."""
    class_counts: Mapping[str, int]
    """Training samples by label."""


@dataclass(frozen=True)
class TrainingMethod(ABC):
    """The training of a stage. It has options but no state, so that a stage can be resumed at any step."""

    has_task_outputs: ClassVar[bool] = False
    """Whether the trained model has the outputs of the task. Pictures and the task's metrics need them, and so does the
    last stage of a run, whose model is exported."""

    def model(self, built: keras.Model, context: StageContext) -> keras.Model:
        """Return the functional model to train; by default the run's model itself.

        Another model consists of layers of ``built``, which the next stage continues to train, and of new layers, which
        are dropped after the stage. New layers need unique names, and new classes must be registered. ``built`` has the
        weights of the earlier stages.
        """
        return built

    @abstractmethod
    def losses(self, context: StageContext) -> Losses:
        """Return a Keras loss by output, or a `mmkeras.layers.batch.LossHook` for the whole batch."""

    def extra_outputs(self, graph: keras.Model, context: StageContext) -> ExtraOutputs | None:
        """Return a function from inputs to the outputs in training and extra outputs; by default None.

        ``graph`` is the functional model that is trained.
        """
        return None

    def monitor(self, context: StageContext) -> tuple[str, int]:
        """Return the log that selects the best epoch, and 1 if higher is better, else -1; by default ``val_loss``."""
        return "val_loss", -1

    def batch(self, inputs: Tensors, targets: Tensors, weights: Any, context: StageContext, seed: Any) -> Any:
        """Return inputs, targets and weights of a batch, in tf.data; by default unchanged.

        Tensors that are added to the targets are passed to a loss hook; bool tensors become int32. Draw random numbers
        with `mmkeras.layers.draws` alone, so that a resumed stage and the workers of a cluster draw the same numbers.
        In validation, every epoch draws the same numbers.

        Args:
            inputs: tensors (B, ...) by name, after augmentation and modality dropout.
            targets: (B, ...) by output of the task.
            weights: float (B,).
            context: the stage's context.
            seed: int32 (2,), the seed of this batch.
        """
        return inputs, targets, weights
