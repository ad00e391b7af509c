"""Pictures of a few fixed validation samples, for TensorBoard after every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from mmkeras.evaluation.attention import attention_figures
from mmkeras.evaluation.classes import confusion
from mmkeras.evaluation.examples import cards, scenes
from mmkeras.evaluation.pictures import confusion_figure, figure_to_array, gallery_figure, samples_figure
from mmkeras.evaluation.samples import Samples
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import rows_of

__all__ = ["EpochPictures"]

_MOST = 1000
"""Samples of the confusion matrix, limited so that it does not slow down an epoch."""


class EpochPictures:
    """Draws confusion matrix, predictions and attention of a model in training.

    Args:
        samples: validation samples with raw values.
        specs: modality specs by name.
        task: the task.
        shown: samples in the grid.
        query: the querying modality of a cross-attention fusion.
    """

    def __init__(
        self,
        samples: Samples,
        specs: Mapping[str, ModalitySpec],
        task: TaskSpec,
        *,
        shown: int = 12,
        query: str = "",
    ) -> None:
        chosen = np.random.default_rng(0).permutation(len(samples))[:_MOST]
        self._samples = samples.take(chosen).shown()
        self._specs = specs
        self._task = task
        self._shown = min(shown, len(chosen))
        self._query = query

    def __call__(self, model: Any) -> dict[str, np.ndarray]:
        """Return pictures uint8 (H, W, 3) by name."""
        outputs = {k: np.asarray(v) for k, v in model.predict(self._samples.inputs, batch_size=256, verbose=0).items()}
        evidence = self._task.evidence(self._samples.targets, outputs)
        figures = {}
        if (matrix := confusion(self._task, evidence)) is not None:
            figures["confusion"] = confusion_figure(matrix)
        shows = self._task, self._samples, self._specs, evidence, partial(rows_of, outputs)
        if shown := cards(*shows, range(self._shown)):
            figures["samples"] = samples_figure(shown, "Validation samples")
        if drawn := scenes(*shows, range(min(4, self._shown))):
            figures["samples"] = gallery_figure(drawn, "Validation samples")
        figures |= {
            title.lower().replace(" ", "_"): figure
            for title, figure in attention_figures(
                model, self._samples, self._specs, self._task, list(range(min(4, self._shown))), self._query
            ).items()
        }
        return {name: figure_to_array(figure) for name, figure in figures.items()}
