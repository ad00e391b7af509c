"""Submodels of a model as sources of exports of their own, held to their own float32 outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from export.source import Source
from export.verification.passes import keras_infer, run_batches
from export.verification.samples import Sample
from export.verification.scenarios import ALL, Scenario, ScenarioInputs
from mmkeras.core.errors import ExportError
from mmkeras.model import submodels
from mmkeras.tasks import TaskSpec

__all__ = ["name_of", "on_samples", "submodel_sources"]


def name_of(whole: str, submodel: str) -> str:
    """Return the name of a submodel's bundles: they lie beside those of the whole model."""
    return f"{whole}.{submodel}"


def submodel_sources(source: Source) -> dict[str, Source]:
    """Return what is exported of each submodel that the model's head names, by name.

    Args:
        source: the whole model.

    Raises:
        ConfigError: the head names what the model does not have.
        ExportError: a submodel has no samples, or targets of another kind than its outputs.
    """
    found = {}
    for name, part in submodels(source.model, source.specs, source.task).items():
        provenance = {key: value for key, value in source.provenance.items() if key not in ("metrics", "submodels")}
        own = Source(
            name=name_of(source.name, name),
            model=part.model,
            specs=part.specs,
            task=part.task,
            samples=source.samples,
            provenance={**provenance, "part_of": {"name": source.name, "submodel": name}},
            index=source.index,
            training=source.training,
            held_to_itself=True,
        )
        found[name] = on_samples(own, source.samples)
    return found


def on_samples(source: Source, samples: Sequence[Sample]) -> Source:
    """Return a source with other samples to verify on.

    For a submodel these are the samples that have one of its modalities, without their other values, and the targets
    are its own float32 outputs.

    Raises:
        ExportError: no sample has one of its modalities, or its targets are not like its outputs.
    """
    if not source.held_to_itself:
        return dataclasses.replace(source, samples=samples)
    values = [{name: sample.values.get(name) for name in source.specs} for sample in samples]
    samples = [
        dataclasses.replace(sample, values=own)
        for sample, own in zip(samples, values, strict=True)
        if any(value is not None for value in own.values())
    ]
    if not samples:
        raise ExportError(
            f"{source.name}: no test sample has {' or '.join(source.specs)}, so the submodel could not be proven."
        )
    keys = [sample.key for sample in samples]
    inputs = ScenarioInputs(source.specs, [sample.values for sample in samples], keys).inputs(Scenario(ALL))
    targets = _as_targets(source.task, source.name, run_batches(keras_infer(source.model), inputs))
    own = [dataclasses.replace(sample, target=row) for sample, row in zip(samples, targets, strict=True)]
    return dataclasses.replace(source, samples=own)


def _as_targets(task: TaskSpec, name: str, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return outputs (N, ...) as targets."""
    shapes = {spec.name: (spec.shape, spec.dtype) for spec in task.targets}
    for output in task.outputs:
        if shapes.get(target := str(task.target_of(output.name))) != (output.shape, output.dtype):
            raise ExportError(
                f"{name}: a submodel is held to its own outputs, but the target {target} of its task {task.kind} is "
                f"not like the output {output.name}, {output.dtype} {output.shape}. Give it a task whose targets are "
                "like its outputs, such as embedding"
            )
    return task.rows_of(outputs)
