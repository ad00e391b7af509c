"""What modalities and tasks provide for the Keras model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mmkeras.core.components import component
from mmkeras.layers.batch import Losses
from mmkeras.layers.tokens import Branch, Encoded
from mmkeras.tasks import SubmodelOutputs

if TYPE_CHECKING:
    import keras

__all__ = ["BranchModule", "HeadModule", "branch_of", "head_of"]


class BranchModule(Protocol):
    """``branch.py``: the Keras encoder."""

    @abstractmethod
    def build(self, spec: Any, config: Any, width: int) -> Branch:
        """Return the inputs of the modality and its tokens of a width, on Keras' functional graph."""


class HeadModule(Protocol):
    """``head.py``: the Keras head and its losses."""

    @abstractmethod
    def build(self, encoded: Encoded, spec: Any, config: Any) -> dict[str, Any]:
        """Return the outputs (B, ...) by name, on Keras' functional graph."""

    @abstractmethod
    def losses(self, spec: Any, config: Any, class_counts: Mapping[str, int] | None = None) -> Losses:
        """Return a Keras loss by output, or a loss hook (`mmkeras.layers.batch`).

        Args:
            spec: the task.
            config: its options.
            class_counts: training samples by label.
        """

    def submodels(self, model: keras.Model, spec: Any) -> Mapping[str, SubmodelOutputs]:
        """Return the parts of a model that are exported and run by themselves, such as ``image_tower``; here none.

        Args:
            model: a functional model that the head was built for, also one that was saved and loaded.
            spec: the task.
        """
        del model, spec
        return {}


def branch_of(kind: str) -> BranchModule:
    """Return ``branch.py`` of a modality."""
    return component(BranchModule, "modalities", kind, "branch")


def head_of(kind: str) -> HeadModule:
    """Return ``head.py`` of a task."""
    return component(HeadModule, "tasks", kind, "head")
