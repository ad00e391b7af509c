"""The base of modality configurations, and the specs that follow from them. numpy only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
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
    "out_of_range",
    "specs_of",
]


@dataclass(frozen=True)
class Facts:
    """Facts of the data, for the specs that depend on them."""

    labels: tuple[str, ...] = ()
    """The labels in the data, sorted."""
    targets: Callable[[], Iterator[np.ndarray]] | None = None
    """Yields the encoded training targets in batches (n, ...); None before the conversion."""


NO_FACTS = Facts()
"""For configurations that need no facts of the data, or before the data is read."""

NO_MODALITIES: Mapping[str, ModalitySpec] = MappingProxyType({})
"""For a configuration whose spec does not derive from others."""


@dataclass(frozen=True)
class ModalityConfig:
    """The options of a modality; ``Config`` of every ``spec.py`` derives from it.

    A ``Config`` sets ``kind`` to the name of its package, as type and default, and lists in ``apart`` the options that
    its branch does not depend on.
    """

    apart: ClassVar[tuple[str, ...]] = ()
    """Options of the input, such as augmentation, that may differ between modalities that share weights."""
    kind: str = field(default="", kw_only=True)
    """Kind of the modality: its package in mmkeras/modalities."""
    shares_weights_with: str = field(default="", kw_only=True)
    """Name of another modality of this kind whose branch is used for this one too, with its weights and options. Only
    options of the input, such as augmentation, may differ."""

    def spec(
        self, name: str, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS
    ) -> ModalitySpec:
        """Return the modality's spec; required.

        Args:
            name: of the modality in the model.
            modalities: specs of the modalities before it, from which it may derive its own.
            facts: those of the data.

        Raises:
            ConfigError: the options do not give a spec.
        """
        raise NotImplementedError

    def spec_before_data(self, name: str, modalities: Mapping[str, ModalitySpec]) -> ModalitySpec:
        """Return a spec that needs no data: names, shapes and dtypes of the tensors are final.

        By default it is `spec`. A modality that learns from the data (a vocabulary) overrides it.
        """
        return self.spec(name, modalities)

    def untrained(self) -> ModalityConfig:
        """Return the configuration of the same encoder with random weights; by default this one."""
        return self

    def recorded(self, spec: Any, folder: Path) -> ModalityConfig:
        """Return the configuration completed from the spec of a run.

        By default empty fields are filled, such as a radar's camera, which comes from another modality.

        Args:
            spec: of this modality, read from the run's folder.
            folder: with the files of `ModalitySpec.save_files`.
        """
        del folder
        empty = (each.name for each in dataclasses.fields(self) if getattr(self, each.name) == ())
        given: dict[str, Any] = {name: getattr(spec, name, ()) for name in empty}
        return dataclasses.replace(self, **given)

    def augmentations(self) -> tuple[str, ...] | None:
        """Return the options that are set and change its own tensors at random in training, moves included.

        None, as by default, means unknown: the outputs of such a branch are then computed in every step.
        """
        return None

    def moves(self) -> dict[str, str]:
        """Return the moves of whole samples that the options turn on, by option; by default none."""
        return {}


def out_of_range(config: Any, names: Iterable[str], expected: str, fits: Callable[[Any], bool]) -> list[str]:
    """Return a problem for each of the options whose value does not fit; ``expected`` describes values that do."""
    values = {name: getattr(config, name) for name in names}
    return [f"{name}: expected {expected}, got {value}" for name, value in values.items() if not fits(value)]


def specs_of(configs: Mapping[str, Any], *, before_data: bool = False) -> dict[str, ModalitySpec]:
    """Return the specs of modalities by name; a spec may derive from those before it.

    Args:
        configs: configurations by name; a spec among them stays as it is.
        before_data: return specs that need no data, see `ModalityConfig.spec_before_data`.

    Raises:
        ConfigError: options do not give a spec.
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
        modalities: specs by name, some with a camera.
        given: the configured camera; empty takes that of the modalities.
        key: configuration key of ``given``, for messages.

    Raises:
        ConfigError: no camera, several, or one that differs from the given camera.
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
        got = f"those of {', '.join(found)} differ" if found else "no picture has one"
        raise ConfigError(
            f"{key}: expected one camera (width, height, focal length, centre x and y), but {got}. Set focal of the "
            f"picture, for example model.camera.focal, or {key}"
        )
    return cameras.pop()


def off_centre(camera: tuple[float, ...]) -> str:
    """Return why a mirrored picture does not fit its camera; empty if it does."""
    width, _, _, centre, _ = camera
    if 2.0 * centre == width:
        return ""
    return f"the camera's centre is in column {centre:g}, not in the middle of its {width:g} columns"
