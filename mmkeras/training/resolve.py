"""Fills in what only the data knows, so that a configuration describes its model alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

from mmkeras.core.components import Choice, find
from mmkeras.core.config import RunConfig, modality_configs
from mmkeras.data.encode import room as room_of
from mmkeras.data.index import Index
from mmkeras.data.read import iterate_samples, read_targets
from mmkeras.modalities import Facts
from mmkeras.model import task_config

__all__ = ["resolve"]

ConfigT = TypeVar("ConfigT", bound=RunConfig)


def resolve(config: ConfigT, index: Index, folder: Path) -> ConfigT:
    """Return the configuration with labels, target statistics and vocabularies filled in.

    A modality that learns something from its training data has a function ``resolve(config, values, folder)`` in its
    package; a task has a method ``completed(facts)`` on its configuration.

    Args:
        config: as the user wrote it.
        index: the converted data.
        folder: the run's folder; what is learned (a vocabulary) is written there.
    """
    changes: dict[str, Any] = {}
    for name, modality in modality_configs(config.model).items():
        room = find("modalities", room_of(modality))
        if hasattr(room, "resolve"):
            # Read only as far as the room asks for them.
            records = iterate_samples(index, "train")
            values = (value for record in records if (value := record.values[name]) is not None)
            changes[name] = room.resolve(modality, values, folder / name)
    task = task_config(config.model)
    completed = task.completed(Facts(index.labels, lambda: read_targets(index, "train")))
    options = dict(config.model.task.options)
    for field in dataclasses.fields(completed):
        value = getattr(completed, field.name)
        if value != getattr(task, field.name):
            options[field.name] = list(value) if isinstance(value, tuple) else value
    model = dataclasses.replace(config.model, task=Choice(config.model.task.name, options), **changes)
    return dataclasses.replace(config, model=model)
