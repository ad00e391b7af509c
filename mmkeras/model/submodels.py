"""The parts of a model that its head exports alone, as Keras models that share its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras

from mmkeras.core.components import has, names
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.modalities import ModalitySpec
from mmkeras.model.modules import head_of
from mmkeras.tasks import SubmodelOutputs, TaskSpec

__all__ = ["Submodel", "submodels"]


@dataclass(frozen=True)
class Submodel:
    """A part of a model."""

    model: keras.Model
    """The part; it shares the layers of the whole model."""
    specs: dict[str, ModalitySpec]
    """Specs of its modalities by name."""
    task: TaskSpec
    """Decodes and scores its outputs."""


def submodels(model: keras.Model, specs: Mapping[str, ModalitySpec], task: TaskSpec) -> dict[str, Submodel]:
    """Return the submodels of a model from `mmkeras.model.build_model` by name; empty if its head declares none.

    The model may be one that was saved and loaded.

    Raises:
        ConfigError: the head names a modality that the model does not have, or outputs that do not fit.
    """
    if task.kind not in names("tasks") or not has("tasks", task.kind, "head"):
        return {}
    found = head_of(task.kind).submodels(model, task)
    return {name: _submodel(model, specs, f"{task.kind}.submodels: {name}", name, part) for name, part in found.items()}


def _submodel(
    model: keras.Model, specs: Mapping[str, ModalitySpec], where: str, name: str, part: SubmodelOutputs
) -> Submodel:
    if not name.isidentifier():
        raise ConfigError(f"{where}: expected a name of letters, digits and underscores")
    for modality in part.modalities:
        if modality not in specs:
            raise ConfigError(f"{where}: the model has no modality {modality!r}; {nearest(modality, specs)}")
    expected = {tensor.name: tensor.shape for tensor in part.task.outputs}
    got = {output: tuple(tensor.shape[1:]) for output, tensor in part.outputs.items()}
    if expected != got:
        raise ConfigError(f"{where}: expected the outputs of the task {part.task.kind}, {expected}, got {got}")
    own = {modality: specs[modality] for modality in specs if modality in part.modalities}
    tensors = {tensor.name: tensor for tensor in model.inputs}
    inputs = {t.name: tensors[t.name] for spec in own.values() for t in (*spec.tensors, spec.present)}
    try:
        built = keras.Model(inputs, dict(part.outputs), name=model.name)
    except ValueError as error:
        raise ConfigError(
            f"{where}: its outputs cannot be computed from {', '.join(own) or 'no modality'} alone ({error!s:.200})"
        ) from error
    return Submodel(built, own, part.task)
