"""What every modality's spec provides. numpy only: this runs on the device."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from mmkeras.core.components import find
from mmkeras.core.errors import ConfigError
from mmkeras.modalities._moves import UNSAID

__all__ = [
    "NO_FACTS",
    "NO_MODALITIES",
    "Facts",
    "ModalityConfig",
    "ModalitySpec",
    "TensorSpec",
    "camera_of",
    "check_shapes",
    "off_centre",
    "spec_from_json",
    "specs_of",
]


@dataclass(frozen=True)
class TensorSpec:
    """One model input without its batch dimension."""

    name: str
    """Input name of the Keras model and of every exported file."""
    shape: tuple[int, ...]
    """Static shape without the batch dimension; ``()`` for a scalar per sample."""
    dtype: str
    """numpy dtype name: ``uint8``, ``int32`` or ``float32``."""

    def zeros(self, batch: int = 1) -> np.ndarray:
        """Return zeros of shape ``(batch, *shape)``."""
        return np.zeros((batch, *self.shape), self.dtype)


@dataclass(frozen=True)
class Facts:
    """What only the data knows, for the specs that depend on it."""

    labels: tuple[str, ...] = ()
    """The labels in the data, sorted."""
    targets: Callable[[], Iterator[np.ndarray]] | None = None
    """Gives the encoded training targets in batches (n, ...), one after the other; None before the conversion."""


NO_FACTS = Facts()
"""Nothing is known of the data yet, or everything stands in the configuration."""


@dataclass(frozen=True)
class ModalitySpec(ABC):
    """A modality's tensors and its host-side preprocessing, serialised into every bundle.

    ``kind`` is the component's name (``"image"``); ``name`` is the configuration field (``"image"``, or ``"front"`` and
    ``"rear"`` for two cameras) and the prefix of the tensors.
    """

    kind: ClassVar[str]
    shapes_records: ClassVar[tuple[str, ...]] = ()
    """Fields of the spec that change what records hold: with another value the data is converted again."""
    reads_files: ClassVar[bool] = False
    """Whether a raw value that is text is the path of a file."""
    follows: ClassVar[tuple[str, ...]] = ()
    """Moves of a picture that the tensors follow, with ``move`` in ``records.py``, or that do not concern them."""

    name: str
    """Name of the modality in this model; prefix of its tensors."""

    @property
    def present(self) -> TensorSpec:
        """The presence input: 1.0 where the modality is there, 0.0 where it is missing."""
        return TensorSpec(f"{self.name}_present", (), "float32")

    @property
    def camera(self) -> tuple[float, ...]:
        """The pinhole camera of its picture: width, height, focal length and centre in pixels; empty where unknown.

        Here there is none. Parts that need one take it from here, see `camera_of`.
        """
        return ()

    @property
    def grid(self) -> tuple[int, ...]:
        """Rows and columns of the map that its branch makes of a picture; empty where there is none, as here."""
        return ()

    def cannot_follow(self, move: str) -> str:
        """Return why the tensors cannot follow a move of the picture (`MIRROR`, `SHIFT`); empty where they can."""
        return "" if move in self.follows else UNSAID

    @property
    @abstractmethod
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The model inputs of this modality, without the presence input."""

    @abstractmethod
    def preprocess(self, value: Any) -> dict[str, np.ndarray]:
        """Turn one raw value into the tensors of one sample (no batch dimension).

        This is the only host-side preprocessing: conversion checks, verification and the device call it.

        Args:
            value: the modality's raw form, for example a path, bytes or a string.

        Raises:
            DataError: the value cannot be used; the message says why.
        """

    def absent(self) -> dict[str, np.ndarray]:
        """Return the neutral tensors that stand in for a missing modality (no batch dimension)."""
        return {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in self.tensors}

    def inputs(self, value: Any) -> dict[str, np.ndarray]:
        """Return tensors and presence of one sample; ``None`` means that the modality is missing."""
        tensors = self.absent() if value is None else self.preprocess(value)
        return {**tensors, self.present.name: np.asarray(value is not None, np.float32)}

    def coverage(self, values: Iterable[Any]) -> dict[str, float]:
        """Return which shares of raw values the model does not see, by name; `mmkeras.data.coverage` warns of them."""
        del values
        return {}

    def scenarios(self) -> dict[str, Callable[[Any], Any]]:
        """Return this modality's difficult inputs by name: each turns a raw value into the one to verify exports on.

        Absence is verified for every modality without being named here.
        """
        return {}

    def probes(self) -> tuple[Any, ...]:
        """Return raw values that exercise the preprocessing, whatever the data.

        Every export keeps them with the tensors that training makes of them; a self-test has to give the same tensors.
        """
        return ()

    def save_files(self, folder: Path) -> tuple[str, ...]:
        """Write the files that this spec needs beside it (a vocabulary) and return their names."""
        del folder
        return ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `spec_from_json` reads back."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any], folder: Path) -> ModalitySpec:
        """Rebuild the spec; ``folder`` holds the files of `save_files`."""
        del folder
        fields = {f.name for f in dataclasses.fields(cls)}
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in fields}
        return cls(**given)


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


def spec_from_json(value: dict[str, Any], folder: Path) -> ModalitySpec:
    """Rebuild any modality's spec from its JSON object.

    Raises:
        ConfigError: the ``kind`` is not a modality of this version.
    """
    spec: ModalitySpec = find("modalities", value["kind"], "spec").Spec.from_json(value, folder)
    return spec


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


def check_shapes(name: str, tensors: tuple[TensorSpec, ...]) -> None:
    """Check what was read from a file: dataclasses take a value of any type.

    Args:
        name: of the modality or task.
        tensors: its inputs or outputs.

    Raises:
        TypeError: a name that is not a string.
        ValueError: a shape that is not a tuple of positive whole numbers.
    """
    if not isinstance(name, str):
        raise TypeError(f"its name is {name!r:.40}")
    for tensor in tensors:
        if not all(type(size) is int and size > 0 for size in tensor.shape):
            raise ValueError(f"the tensor {tensor.name} has the shape {tensor.shape!r:.60}")
