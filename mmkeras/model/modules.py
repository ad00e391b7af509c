"""The functions that modalities and tasks provide for the Keras model."""

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
        """Return the modality's inputs and its tokens (B, N, width) as Keras tensors."""


class HeadModule(Protocol):
    """``head.py``: the Keras head and its losses."""

    @abstractmethod
    def build(self, encoded: Encoded, spec: Any, config: Any) -> dict[str, Any]:
        """Return the outputs (B, ...) by name as Keras tensors."""

    @abstractmethod
    def losses(self, spec: Any, config: Any, class_counts: Mapping[str, int] | None = None) -> Losses:
        """Return a Keras loss by output, or a loss hook (`mmkeras.layers.batch`).

        ``class_counts`` has the training samples by label.
        """

    def submodels(self, model: keras.Model, spec: Any) -> Mapping[str, SubmodelOutputs]:
        """Return the submodels that are also exported alone, such as ``image_tower``, by name; by default none.

        The model may be one that was saved and loaded.
        """
        return {}


def branch_of(kind: str) -> BranchModule:
    """Return ``branch.py`` of a modality."""
    return component(BranchModule, "modalities", kind, "branch")


def head_of(kind: str) -> HeadModule:
    """Return ``head.py`` of a task."""
    return component(HeadModule, "tasks", kind, "head")
