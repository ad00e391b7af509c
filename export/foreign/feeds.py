"""Turns the cells of a row into the inputs of both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from export.foreign.match import Pair
from export.foreign.model import Model, Tensor
from export.foreign.picture import PictureSpec
from mmkeras.core.errors import DataError
from mmkeras.modalities import ModalitySpec

__all__ = ["SIDES", "Feed", "Feeds", "Frame", "Modality", "Numbers", "Picture"]

SIDES = ("file", "reference")


@dataclass
class Frame:
    """A picture that is resized once for both sides."""

    image: Image.Image
    """In mode RGB."""
    resized: dict[tuple[Any, ...], np.ndarray] = field(default_factory=dict)

    def pixels(self, spec: PictureSpec) -> np.ndarray:
        """Return the picture as uint8 (height, width, 3)."""
        key = (spec.size, spec.resize, spec.fill)
        if key not in self.resized:
            self.resized[key] = spec.pixels(self.image)
        return self.resized[key]


@dataclass(frozen=True)
class Feed:
    """What one part of a row becomes; the classes below have a kind each."""

    name: str
    """Name for messages and options: that of the input in the file."""
    columns: tuple[str, ...]

    def inputs(self, value: Any, side: str) -> dict[str, np.ndarray]:
        """Return the inputs of a side, without the batch dimension, for a value as `rows` reads it.

        Raises:
            DataError: the value does not fit the input.
        """
        raise NotImplementedError

    def missing(self, value: Any, fill: float) -> Any:
        """Return what stands in for a value that is missing, filled with a number."""
        raise NotImplementedError


@dataclass(frozen=True)
class Picture(Feed):
    """A picture; its value is a `Frame`."""

    tensors: Mapping[str, Tensor]
    """By side."""
    specs: Mapping[str, PictureSpec]
    """By side."""

    def inputs(self, value: Any, side: str) -> dict[str, np.ndarray]:
        """Return the inputs of a side for a value."""
        spec = self.specs[side]
        return {self.tensors[side].name: spec.arrange(value.pixels(spec))}

    def missing(self, value: Any, fill: float) -> Any:
        """Return a picture of one grey level."""
        level = int(np.clip(fill, 0, 255))
        return Frame(Image.new("RGB", value.image.size, (level, level, level)))


@dataclass(frozen=True)
class Numbers(Feed):
    """An array of numbers."""

    tensors: Mapping[str, Tensor]

    def inputs(self, value: Any, side: str) -> dict[str, np.ndarray]:
        """Return the inputs of a side for a value."""
        tensor = self.tensors[side]
        return {tensor.name: _shaped(np.asarray(value), tensor)}

    def missing(self, value: Any, fill: float) -> Any:
        """Return an array of one number."""
        return np.full_like(np.asarray(value, np.float64), fill)


@dataclass(frozen=True)
class Modality(Feed):
    """A value that a spec of this project's modalities turns into several inputs."""

    spec: ModalitySpec
    names: Mapping[str, Mapping[str, str]]
    """By side: names of the inputs by name of the spec's tensors."""

    def inputs(self, value: Any, side: str) -> dict[str, np.ndarray]:
        """Return the inputs of a side for a value."""
        found = self.spec.inputs(value)
        return {name: found[tensor] for tensor, name in self.names[side].items()}

    def missing(self, value: Any, fill: float) -> Any:
        """Return None: the spec has its own tensors for a missing value."""
        return None


def _shaped(value: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Return an array in the shape of an input; its channels are moved first or last where only that fits."""
    moved = [value] if value.ndim != 3 else [value, np.moveaxis(value, -1, 0), np.moveaxis(value, 0, -1)]
    for each in moved:
        sizes = zip(each.shape, tensor.shape, strict=False)
        if each.ndim == len(tensor.shape) and all(known in (None, size) for size, known in sizes):
            return each
    fixed = [size for size in tensor.shape if size is not None]
    # A number for an input (B, 1), or a row (1, 8) for an input (B, 8): nothing can be permuted.
    flat = [size for size in value.shape if size != 1]
    if flat == [size for size in fixed if size != 1] and len(fixed) == len(tensor.shape):
        return value.reshape(fixed)
    expected = ", ".join("?" if size is None else str(size) for size in tensor.shape)
    raise DataError(f"input {tensor.name}: expected an array of shape ({expected}), got {value.shape}")


@dataclass
class Feeds:
    """All feeds of a comparison, and the two models."""

    models: Mapping[str, Model]
    """By side."""
    feeds: tuple[Feed, ...]
    pairs: Sequence[Pair] = ()
    """Of the inputs."""
    said: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What each side is given for a picture, and what of it was inferred, by ``side: input``."""

    def inputs(self, values: Mapping[str, Any], side: str) -> dict[str, np.ndarray]:
        """Return the inputs of a side for one row, values by feed.

        Raises:
            DataError: a value does not fit, or the type of an input cannot hold it.
        """
        found: dict[str, np.ndarray] = {}
        for feed in self.feeds:
            found |= feed.inputs(values[feed.name], side)
        for tensor in self.models[side].inputs:
            # Checked for each row, so that the message is about that row.
            tensor.store(found[tensor.name])
        return found

    def batch(self, rows: Sequence[Mapping[str, Any]], side: str) -> dict[str, np.ndarray]:
        """Return the inputs (B, ...) of a side for several rows.

        Raises:
            DataError: rows have inputs of different shapes.
        """
        found = [self.inputs(row, side) for row in rows]
        try:
            return {name: np.stack([each[name] for each in found]) for name in found[0]}
        except ValueError as error:
            raise DataError(
                f"the rows have inputs of different shapes, which one batch cannot hold: {error}"
            ) from error
