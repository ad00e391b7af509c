"""Parts of a model that are exported, verified and run as models of their own: see ``submodels`` of a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmkeras.tasks._contract import TaskSpec

__all__ = ["SubmodelOutputs"]


@dataclass(frozen=True)
class SubmodelOutputs:
    """A part of a model: some of its tensors, and the modalities that they are computed from."""

    outputs: Mapping[str, Any]
    """Keras tensors of the model by output name of the task below, such as ``model.output["image_embedding"]`` or
    ``model.get_layer("image_embedding").output``."""
    modalities: tuple[str, ...]
    """Names of these modalities."""
    task: TaskSpec
    """Decodes and scores the outputs. Its targets are the part's float32 outputs, so each target has the shape and
    dtype of its output, as in `mmkeras.tasks.embedding.spec.Spec`."""
