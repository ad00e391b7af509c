"""Fills in the settings that depend on the data, so that the configuration describes the whole model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig, RunConfig
from mmkeras.core.modalities import branches, declared_modalities, follow
from mmkeras.data.encode import kind_of
from mmkeras.data.index import Index
from mmkeras.data.modules import modality_of
from mmkeras.data.read import iterate_samples, read_targets
from mmkeras.modalities import Facts
from mmkeras.model import task_config

__all__ = ["resolve", "resolve_model"]

ConfigT = TypeVar("ConfigT", bound=RunConfig)
ModelT = TypeVar("ModelT", bound=ModelConfig)


def resolve(config: ConfigT, index: Index, folder: Path) -> ConfigT:
    """Return the configuration with labels, target statistics and vocabularies, which go to the run's folder."""

    def values(names: Sequence[str]) -> Iterator[Any]:
        samples = iterate_samples(index, "train")
        return (value for each in samples for name in names if (value := each.values.get(name)) is not None)

    facts = Facts(index.labels, lambda: read_targets(index, "train"))
    return dataclasses.replace(config, model=resolve_model(config.model, values, facts, folder))


def resolve_model(
    model: ModelT, values: Callable[[Sequence[str]], Iterable[Any]], facts: Facts, folder: Path
) -> ModelT:
    """Return a model's configuration with the settings of its modalities and its task that depend on data.

    ``values`` returns the raw training values of the modalities of one branch; they are read only as far as they are
    needed. Files of a modality are written to ``<folder>/<modality>``.
    """
    changes: dict[str, Any] = {}
    every = declared_modalities(model)
    for name, group in branches(model).items():
        changes[name] = modality_of(kind_of(every[name])).resolve(every[name], values(group), folder / name)
        changes |= {other: follow(every[other], changes[name]) for other in group if other != name}
    task = task_config(model)
    completed = task.completed(facts)
    options = dict(model.task.options)
    for field in dataclasses.fields(completed):
        value = getattr(completed, field.name)
        if value != getattr(task, field.name):
            options[field.name] = list(value) if isinstance(value, tuple) else value
    return dataclasses.replace(model, task=Choice(model.task.name, options), **changes)
