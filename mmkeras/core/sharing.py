"""Modalities that share the weights of one branch, such as two pictures: ``shares_weights_with = "left"``."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from mmkeras.core.config import ModelConfig, declared_modalities, modality_configs
from mmkeras.core.errors import ConfigError, nearest

__all__ = ["branches", "check_sharing", "follow", "take_over", "taken_over"]

OPTION = "shares_weights_with"


def branches(model: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Return the modalities that read each branch of a model, by the modality whose name the branch has.

    It is the modality that the others name, or the first of them where the model is built without it. Among those that
    read a branch are modalities that the model is built without.

    Raises:
        ConfigError: modalities that cannot share a branch.
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
    """Return a modality's configuration with those options of another that a shared branch depends on."""
    return dataclasses.replace(config, **{name: getattr(other, name) for name in _branch_options(config)})


def take_over(model: ModelConfig, given: Collection[str]) -> ModelConfig:
    """Give modalities that share weights the options of the shared branch that their sources leave out.

    Args:
        model: as it was parsed.
        given: dotted keys below the model that a file or the command line sets, such as ``right.size``.

    Raises:
        ConfigError: an option that is set differs from that of the shared branch, or the branch cannot be shared.
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
    """Return the options that `take_over` has changed, by dotted key below the model."""
    old, new = declared_modalities(before), declared_modalities(after)
    return {
        f"{name}.{field.name}": value
        for name, config in new.items()
        for field in dataclasses.fields(config)
        if (value := getattr(config, field.name)) != getattr(old[name], field.name)
    }


def check_sharing(model: ModelConfig) -> None:
    """Check that modalities that share weights can do so.

    Raises:
        ConfigError: no such modality, one that shares weights itself, another kind, or options that differ.
    """
    every = declared_modalities(model)
    problems = []
    for name, config in every.items():
        if not (other := _shared(config)):
            continue
        key, owner = f"model.{name}.{OPTION}", every.get(other)
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
    return str(getattr(config, OPTION, ""))


def _branch_options(config: Any) -> list[str]:
    """Return the options that a branch depends on, so that they cannot differ where it is shared."""
    apart = {"kind", OPTION, *config.apart}
    return [field.name for field in dataclasses.fields(config) if field.name not in apart]
