"""Parts of a model that are exported, verified and run by themselves, as a head names them.

A head that has such parts has a function ``submodels(model, spec)``. Nothing here needs Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmkeras.tasks._contract import TaskSpec

__all__ = ["SubmodelOutputs"]


@dataclass(frozen=True)
class SubmodelOutputs:
    """A part of a model: some of its tensors, and what they are computed from."""

    outputs: Mapping[str, Any]
    """Keras tensors of the model by output name of the task below, such as ``model.output["image_embedding"]`` or
    ``model.get_layer("image_embedding").output``."""
    modalities: tuple[str, ...]
    """Names of the modalities that they depend on."""
    task: TaskSpec
    """Decodes and scores the outputs. An export takes the float32 outputs of the part themselves as targets, so each
    target has the shape and dtype of its output, as that of `mmkeras.tasks.embedding.spec.Spec` has."""
