"""What modalities and tasks may provide for the report, with the default of what they leave out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mmkeras.core.components import component, has, names
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks._contract import Outputs

__all__ = ["PictureModule", "ReviewModule", "picture_of", "review_of"]


class PictureModule(Protocol):
    """``picture.py`` of a modality: how the report shows a raw value, as a picture or in words."""

    def image(self, value: Any) -> np.ndarray | None:
        """Return the picture of a value, uint8 (H, W, 3); here it has none."""
        del value
        return None

    def caption(self, value: Any) -> str:
        """Return a value in words; here none, as its picture says it."""
        del value
        return ""


class ReviewModule(Protocol):
    """``review.py`` of a task whose truths and answers need words and pictures of their own."""

    @abstractmethod
    def truths(self, task: Any, targets: np.ndarray) -> Sequence[str]:
        """Return what is true of each sample (N, ...) in words."""

    @abstractmethod
    def answers(self, task: Any, outputs: Outputs) -> Sequence[str]:
        """Return what was found in each sample (N, ...) in words."""

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
    """Return ``picture.py`` of a modality, None where it has none."""
    return component(PictureModule, "modalities", kind, "picture") if _has("modalities", kind, "picture") else None


def review_of(kind: str) -> ReviewModule | None:
    """Return ``review.py`` of a task, None where it has none."""
    return component(ReviewModule, "tasks", kind, "review") if _has("tasks", kind, "review") else None


def _has(family: str, name: str, module: str) -> bool:
    return name in names(family) and has(family, name, module)
