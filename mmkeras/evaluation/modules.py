"""Optional modules of modalities and tasks that the report uses, with the defaults of their functions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from mmkeras.core.components import component, has, names
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks._contract import Outputs

P = TypeVar("P")

__all__ = ["PictureModule", "ReviewModule", "picture_of", "review_of"]


class PictureModule(Protocol):
    """``picture.py`` of a modality, which shows a raw value as a picture or in words."""

    def image(self, value: Any) -> np.ndarray | None:
        """Return the picture of a value, uint8 (H, W, 3), or None if it is shown in words."""
        return None

    def caption(self, value: Any) -> str:
        """Return a value in words, for a value without a picture."""
        return ""


class ReviewModule(Protocol):
    """``review.py`` of a task whose answers are neither labels nor numbers."""

    @abstractmethod
    def truths(self, task: Any, targets: np.ndarray) -> Sequence[str]:
        """Return the truth of each sample (N, ...) in words."""

    @abstractmethod
    def answers(self, task: Any, outputs: Outputs) -> Sequence[str]:
        """Return the model's answer to each sample (N, ...) in words."""

    @abstractmethod
    def sample_pictures(
        self,
        task: Any,
        specs: Mapping[str, ModalitySpec],
        values: Mapping[str, Any],
        target: np.ndarray,
        outputs: Outputs,
    ) -> Sequence[np.ndarray]:
        """Return pictures of one sample, uint8 (H, W, 3).

        Args:
            task: the task.
            specs: modality specs by name.
            values: raw values by modality; None where one is missing.
            target: encoded target of the sample.
            outputs: of the sample, without the batch dimension.
        """


def picture_of(kind: str) -> PictureModule | None:
    """Return ``picture.py`` of a modality, or None."""
    return _optional(PictureModule, "modalities", kind, "picture")


def review_of(kind: str) -> ReviewModule | None:
    """Return ``review.py`` of a task, or None."""
    return _optional(ReviewModule, "tasks", kind, "review")


def _optional(protocol: type[P], family: str, name: str, module: str) -> P | None:
    known = name in names(family) and has(family, name, module)
    return component(protocol, family, name, module) if known else None
