"""The modalities of a model's configuration, and which of them share the weights of one branch.

A modality is a field of the `ModelConfig` whose type is the ``Config`` of a package in ``mmkeras.modalities``. The
field's name is the modality's name. Modalities of one kind, such as two pictures, can share the weights of a branch:
``shares_weights_with = "left"``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import ConfigError, nearest

__all__ = [
    "branches",
    "check_sharing",
    "declared_modalities",
    "follow",
    "modality_configs",
    "take_over",
    "taken_over",
]

_OPTION = "shares_weights_with"


def declared_modalities(model: ModelConfig) -> dict[str, Any]:
    """Return all modality configurations of a model by name, also those in ``without``."""
    return {
        f.name: value
        for f in dataclasses.fields(model)
        if type(value := getattr(model, f.name)).__module__.startswith("mmkeras.modalities.")
    }


def modality_configs(model: ModelConfig) -> dict[str, Any]:
    """Return the configurations of the modalities that a model is built with, by name, in the order of its fields.

    Raises:
        ConfigError: ``without`` names something that is no modality of the model.
    """
    every = declared_modalities(model)
    for name in model.without:
        if name not in every:
            raise ConfigError(f"model.without: no modality is called {name!r}; {nearest(name, every)}")
    return {name: value for name, value in every.items() if name not in model.without}


def branches(model: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Return the modalities of each branch of a model, by the modality that gives the branch its name.

    That is the modality that the others name, or the first other one if the model is built without it. The modalities
    of a branch include those that the model is built without.

    Raises:
        ConfigError: see `check_sharing`.
    """
    check_sharing(model)
    built = modality_configs(model)
    groups: dict[str, list[str]] = {}
    for name, config in declared_modalities(model).items():
        groups.setdefault(_shared(config) or name, []).append(name)
    result = {}
    for owner, group in groups.items():
        leader = owner if owner in built else next((name for name in group if name in built), None)
        if leader is not None:
            result[leader] = (leader, *(name for name in group if name != leader))
    return result


def follow(config: Any, other: Any) -> Any:
    """Return a modality's configuration with the branch options of another modality."""
    return dataclasses.replace(config, **{name: getattr(other, name) for name in _branch_options(config)})


def take_over(model: ModelConfig, given: Collection[str]) -> ModelConfig:
    """Copy the options of a shared branch to the modalities that share it, where the user did not set them.

    Args:
        model: as it was parsed.
        given: dotted keys below the model that a file or the command line sets, such as ``right.size``.

    Raises:
        ConfigError: see `check_sharing`.
    """
    every = declared_modalities(model)
    changes = {}
    for name, config in every.items():
        other = every.get(_shared(config))
        if other is not None and type(other) is type(config):
            left_out = [option for option in _branch_options(config) if f"{name}.{option}" not in given]
            changes[name] = dataclasses.replace(config, **{option: getattr(other, option) for option in left_out})
    model = dataclasses.replace(model, **changes) if changes else model
    check_sharing(model)
    return model


def taken_over(before: ModelConfig, after: ModelConfig) -> dict[str, Any]:
    """Return the options that `take_over` changed, by dotted key below the model."""
    old, new = declared_modalities(before), declared_modalities(after)
    return {
        f"{name}.{field.name}": value
        for name, config in new.items()
        for field in dataclasses.fields(config)
        if (value := getattr(config, field.name)) != getattr(old[name], field.name)
    }


def check_sharing(model: ModelConfig) -> None:
    """Check the modalities that share weights.

    Raises:
        ConfigError: ``shares_weights_with`` names no other modality, one that shares weights itself or one of another
            kind, or the options of the branch differ.
    """
    every = declared_modalities(model)
    problems = []
    for name, config in every.items():
        if not (other := _shared(config)):
            continue
        key, owner = f"model.{name}.{_OPTION}", every.get(other)
        if owner is None or other == name:
            valid = [each for each in every if each != name]
            problems.append(f"{key}: expected another modality, got {other!r}; {nearest(other, valid)}")
        elif _shared(owner):
            problems.append(f"{key}: {other} has no branch of its own; expected {_shared(owner)!r}, got {other!r}")
        elif type(owner) is not type(config):
            problems.append(f"{key}: expected a modality of the kind {config.kind!r}, but {other} is {owner.kind!r}")
        else:
            problems += [
                f"model.{name}.{option}: expected {getattr(owner, option)!r:.80}, as in {other}, whose weights it "
                f"shares; got {getattr(config, option)!r:.80}. Leave it out"
                for option in _branch_options(config)
                if getattr(config, option) != getattr(owner, option)
            ]
    if problems:
        raise ConfigError("\n".join(problems))


def _shared(config: Any) -> str:
    return str(getattr(config, _OPTION, ""))


def _branch_options(config: Any) -> list[str]:
    """Return the options that a branch depends on: they must be equal where it is shared."""
    apart = {"kind", _OPTION, *config.apart}
    return [field.name for field in dataclasses.fields(config) if field.name not in apart]
