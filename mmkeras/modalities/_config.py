"""What a user chooses about a modality, and how the specs of a model's modalities follow from it. numpy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from mmkeras.core.errors import ConfigError
from mmkeras.modalities._contract import ModalitySpec

__all__ = [
    "NO_FACTS",
    "NO_MODALITIES",
    "Facts",
    "ModalityConfig",
    "camera_of",
    "off_centre",
    "specs_of",
]


@dataclass(frozen=True)
class Facts:
    """What only the data knows, for the specs that depend on it."""

    labels: tuple[str, ...] = ()
    """The labels in the data, sorted."""
    targets: Callable[[], Iterator[np.ndarray]] | None = None
    """Gives the encoded training targets in batches (n, ...), one after the other; None before the conversion."""


NO_FACTS = Facts()
"""Nothing is known of the data yet, or everything stands in the configuration."""

NO_MODALITIES: Mapping[str, ModalitySpec] = MappingProxyType({})
"""The specs that a configuration sees whose own spec is asked for by itself."""


@dataclass(frozen=True)
class ModalityConfig:
    """What a user chooses about a modality; ``Config`` of every ``spec.py`` derives from it.

    A ``Config`` gives ``kind`` the name of its package, as its type and default, and names in ``apart`` those of its
    options that its branch does not depend on.
    """

    apart: ClassVar[tuple[str, ...]] = ()
    """Options of the input, such as augmentation, that may differ between modalities that share weights."""
    kind: str = field(default="", kw_only=True)
    """Kind of the modality: its package in mmkeras/modalities."""
    shares_weights_with: str = field(default="", kw_only=True)
    """Name of another modality of this kind whose branch reads this one too, with the same weights. Its options hold
    for both; options of the input, such as augmentation, may differ."""

    def spec(
        self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS
    ) -> ModalitySpec:
        """Return the modality's spec; required.

        Args:
            name: of the modality in the model.
            modalities: specs of the modalities before it, from which it may derive its own.
            facts: what only the data knows.

        Raises:
            ConfigError: the modality cannot be specified.
        """
        raise NotImplementedError

    def spec_before_data(self, name: str, modalities: Mapping[str, ModalitySpec]) -> ModalitySpec:
        """Return the spec as far as it is known without data: names, shapes and dtypes of the tensors are final.

        Here it is `spec`. A modality that learns from the data (a vocabulary) gives one that nothing was learned for.
        """
        return self.spec(name, modalities)

    def untrained(self) -> ModalityConfig:
        """Return the configuration of the same encoder with random weights; here it is this one."""
        return self

    def recorded(self, spec: Any, folder: Path) -> ModalityConfig:
        """Return the configuration with what the spec of a run has beyond it.

        Here these are fields that are empty because another modality gave them, such as the camera of a radar alone.

        Args:
            spec: of this modality, read from the run's folder.
            folder: holds the files of `ModalitySpec.save_files`.
        """
        del folder
        empty = (each.name for each in dataclasses.fields(self) if getattr(self, each.name) == ())
        given: dict[str, Any] = {name: getattr(spec, name, ()) for name in empty}
        return dataclasses.replace(self, **given)

    def moves(self) -> dict[str, str]:
        """Return the moves of whole samples that are asked for, by the option; here none."""
        return {}


def specs_of(configs: Mapping[str, Any], *, before_data: bool = False) -> dict[str, ModalitySpec]:
    """Return the specs of modalities by name. Each sees the specs of those before it, and may derive its own from them.

    Args:
        configs: configurations by name; a spec among them stays as it is.
        before_data: what the data teaches (a vocabulary) is not known yet. Names, shapes and dtypes of the tensors are
            final even so.

    Raises:
        ConfigError: a modality cannot be specified.
    """
    specs: dict[str, ModalitySpec] = {}
    for name, config in configs.items():
        if isinstance(config, ModalitySpec):
            specs[name] = config
        elif before_data:
            specs[name] = config.spec_before_data(name, dict(specs))
        else:
            specs[name] = config.spec(name, dict(specs))
    return specs


def camera_of(modalities: Mapping[str, ModalitySpec], given: tuple[float, ...], key: str) -> tuple[float, ...]:
    """Return the one camera that a model is built for.

    Args:
        modalities: specs by name; those that know a camera say it.
        given: what the configuration of the part that needs it says; empty takes that of the modalities.
        key: configuration key of ``given``, for messages.

    Raises:
        ConfigError: no camera, several, or another one than the given.
    """
    found = {name: spec.camera for name, spec in modalities.items() if spec.camera}
    for name, camera in found.items():
        if given and camera != given:
            raise ConfigError(
                f"{key}: expected {camera}, the camera of the modality {name}, got {given}. Leave it out, and change "
                f"size, focal and centre of {name}"
            )
    cameras = {given} if given else set(found.values())
    if len(cameras) != 1:
        got = f"those of {', '.join(found)} differ" if found else "no picture knows its camera"
        raise ConfigError(
            f"{key}: expected one camera (width, height, focal length, centre x and y), but {got}. Set focal of the "
            f"picture, for example model.camera.focal, or {key}"
        )
    return cameras.pop()


def off_centre(camera: tuple[float, ...]) -> str:
    """Return why the mirrored picture of a camera is not one of the same camera; empty where it is."""
    width, _, _, centre, _ = camera
    if 2.0 * centre == width:
        return ""
    return f"the camera's centre stands in column {centre:g}, not in the middle of its {width:g} columns"
