"""Submodels of a model as sources of exports of their own, compared with their own float32 outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from export.source import Source
from export.verification.samples import Sample
from mmkeras.core.errors import ExportError
from mmkeras.model import submodels
from mmkeras.tasks import TaskSpec

__all__ = ["on_samples", "submodel_sources"]


def submodel_sources(source: Source) -> dict[str, Source]:
    """Return the source of each submodel that the head of a whole model names, by the submodel's name.

    Raises:
        ConfigError: the head names a modality that the model does not have, or outputs that do not fit.
        ExportError: a submodel has no samples, or its task has targets of another kind than its outputs.
    """
    found = {}
    for name, part in submodels(source.model, source.specs, source.task).items():
        provenance = {key: value for key, value in source.provenance.items() if key not in ("metrics", "submodels")}
        own = Source(
            name=f"{source.name}.{name}",
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

    A submodel gets the samples that have one of its modalities, without the values of others. `Reference` takes its
    targets from its float32 outputs.

    Raises:
        ExportError: no sample has one of its modalities, or its task has targets of another kind than its outputs.
    """
    if not source.held_to_itself:
        return dataclasses.replace(source, samples=samples)
    _check_targets(source.task, source.name)
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
    return dataclasses.replace(source, samples=samples)


def _check_targets(task: TaskSpec, name: str) -> None:
    shapes = {spec.name: (spec.shape, spec.dtype) for spec in task.targets}
    for output in task.outputs:
        if shapes.get(target := str(task.target_of(output.name))) != (output.shape, output.dtype):
            raise ExportError(
                f"{name}: a submodel is compared with its own outputs, but the target {target} of its task {task.kind} "
                f"is not like the output {output.name}, {output.dtype} {output.shape}. Give it a task whose targets "
                "are like its outputs, such as embedding."
            )
