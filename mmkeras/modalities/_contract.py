"""The base of modality specs. numpy only: it runs on the device."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmkeras.core.components import find
from mmkeras.modalities._moves import UNSAID

__all__ = ["ModalitySpec", "TensorSpec", "check_shapes", "spec_from_json"]


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
    """Moves of a picture that the tensors follow, by ``move`` in ``records.py``, or that do not change them."""

    name: str
    """Name of the modality in this model; prefix of its tensors."""

    @property
    def present(self) -> TensorSpec:
        """The presence input: 1.0 for a present modality, 0.0 for a missing one."""
        return TensorSpec(f"{self.name}_present", (), "float32")

    @property
    def camera(self) -> tuple[float, ...]:
        """The pinhole camera of its picture: width, height, focal length and centre in pixels; by default empty."""
        return ()

    @property
    def grid(self) -> tuple[int, ...]:
        """Rows and columns of the feature map of its branch; by default empty, for branches without one."""
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a table whose cells one value is made of; empty, as here, where a value is one cell."""
        return ()

    def cannot_follow(self, move: str) -> str:
        """Return why the tensors cannot follow a move of the picture (`MOVES`); empty if they can."""
        return "" if move in self.follows else UNSAID

    @property
    @abstractmethod
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The model inputs of this modality, without the presence input."""

    @abstractmethod
    def preprocess(self, value: Any) -> dict[str, np.ndarray]:
        """Turn one raw value into the tensors of one sample (no batch dimension).

        This is the only preprocessing on the host: conversion, verification and the device use it.

        Args:
            value: the modality's raw form, for example a path, bytes or a string.

        Raises:
            DataError: the value cannot be used; gives the reason.
        """

    def absent(self) -> dict[str, np.ndarray]:
        """Return the neutral tensors that stand in for a missing modality (no batch dimension)."""
        return {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in self.tensors}

    def inputs(self, value: Any) -> dict[str, np.ndarray]:
        """Return tensors and presence of one sample; ``None`` means that the modality is missing."""
        tensors = self.absent() if value is None else self.preprocess(value)
        return {**tensors, self.present.name: np.asarray(value is not None, np.float32)}

    def by_name(self, value: Any) -> Any:
        """Return a raw value as a user gives it: with the names of its columns, if it has columns.

        Golden samples are stored in this form, so that a self-test also notices columns that were exchanged.
        """
        return value

    def coverage(self, values: Iterable[Any]) -> dict[str, float]:
        """Return the shares of raw values that the model does not receive, by name; see `mmkeras.data.coverage`."""
        del values
        return {}

    def scenarios(self) -> dict[str, Callable[[Any], Any]]:
        """Return functions by name that turn a raw value into a difficult one, on which exports are verified too.

        Absence is verified for every modality and is not listed here.
        """
        return {}

    def probes(self) -> tuple[Any, ...]:
        """Return raw values that exercise the preprocessing, independent of the data.

        Every export stores them with their tensors from training, and a self-test must reproduce these tensors.
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
        """Rebuild the spec; the files of `save_files` are in ``folder``."""
        del folder
        fields = {f.name for f in dataclasses.fields(cls)}
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in fields}
        return cls(**given)


def spec_from_json(value: dict[str, Any], folder: Path) -> ModalitySpec:
    """Rebuild any modality's spec from its JSON object.

    Raises:
        ConfigError: the ``kind`` is not a modality of this version.
    """
    spec: ModalitySpec = find("modalities", value["kind"], "spec").Spec.from_json(value, folder)
    return spec


def check_shapes(name: str, tensors: tuple[TensorSpec, ...]) -> None:
    """Check the name of a modality or task and its tensors after reading them: dataclasses accept any type.

    Raises:
        TypeError: a name that is not a string.
        ValueError: a shape that is not a tuple of positive whole numbers.
    """
    if not isinstance(name, str):
        raise TypeError(f"its name is {name!r:.40}")
    for tensor in tensors:
        if not all(type(size) is int and size > 0 for size in tensor.shape):
            raise ValueError(f"the tensor {tensor.name} has the shape {tensor.shape!r:.60}")
