"""What a training method decides about a stage, with the default of each decision."""

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
    """What a method may know of the run."""

    config: RunConfig
    """The resolved configuration; ``train`` is that of the stage."""
    specs: Mapping[str, ModalitySpec]
    """Modality specs by name."""
    task: TaskSpec
    """The task."""
    class_counts: Mapping[str, int]
    """Training samples by label."""


@dataclass(frozen=True)
class TrainingMethod(ABC):
    """How a stage trains. It holds its options and no state, so that a stage can be resumed at any step."""

    answers: ClassVar[bool] = False
    """Whether the trained model has the outputs of the task. Pictures and the task's metrics need
    them, and so does the last stage of a run, whose model is exported."""

    def model(self, built: keras.Model, context: StageContext) -> keras.Model:
        """Return the functional model to train; here the run's model itself.

        Another model is made of layers of ``built``, which the next stage goes on with, and of new layers, which are
        dropped after the stage. New layers need names of their own, and classes of their own must be registered.

        Args:
            built: the run's model, with the weights of the stages before.
            context: of the stage.
        """
        del context
        return built

    @abstractmethod
    def losses(self, context: StageContext) -> Losses:
        """Return a Keras loss by output, or a `mmkeras.layers.batch.LossHook`, which may see the whole batch."""

    def extra_outputs(self, graph: keras.Model, context: StageContext) -> ExtraOutputs | None:
        """Return a function from inputs to the outputs in training and further ones; here there are no further ones.

        Args:
            graph: the functional model that is trained.
            context: of the stage.
        """
        del graph, context
        return None

    def monitor(self, context: StageContext) -> tuple[str, int]:
        """Return the log that picks the best epoch, and 1 where higher is better, else -1; here the validation loss."""
        del context
        return "val_loss", -1

    def batch(self, inputs: Tensors, targets: Tensors, weights: Any, context: StageContext, seed: Any) -> Any:
        """Return inputs, targets and weights of a batch, in tf.data; here they stay as they are.

        A loss hook gets what is added to the targets; bool tensors become int32. Random numbers come from
        `mmkeras.layers.draws` alone: a resumed stage and the workers of a cluster then draw the same. In validation
        every epoch draws the same numbers.

        Args:
            inputs: tensors (B, ...) by name, augmented, with modalities dropped.
            targets: (B, ...) by output of the task.
            weights: float (B,).
            context: of the stage.
            seed: int32 (2,), of this batch.
        """
        del context, seed
        return inputs, targets, weights
