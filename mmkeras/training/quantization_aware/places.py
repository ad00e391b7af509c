"""Finds what an exporter writes in int8: the layers with a kernel, and where the output of each one ends.

LiteRT and TensorRT fold a batch normalisation and a ReLU behind a layer into it, so that its int8 output is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import keras
from keras import layers

from mmkeras.core.errors import ConfigError, nearest

__all__ = ["Place", "find_places"]

_FOLDED_ACTIVATIONS = (None, keras.activations.linear, keras.activations.relu, keras.activations.relu6)
"""Activation functions that are part of the int8 operation; others get its rounded output."""


@dataclass(frozen=True)
class Place:
    """One layer that becomes int8."""

    path: str
    """Path of the layer from the model on, such as ``image_branch/edge/stem_conv``; exported files name it so too."""
    layer: Any
    """The Keras layer."""
    summed: tuple[int, ...]
    """Axes of its kernel that it sums over."""
    end: Any
    """The layer whose output is the int8 one: itself, or what is folded into it."""

    @property
    def dense(self) -> bool:
        """Whether it is a dense layer, not a convolution."""
        return isinstance(self.layer, layers.Dense | layers.EinsumDense)

    @property
    def activation_within(self) -> bool:
        """Whether its own activation function works on the rounded output."""
        return getattr(self.layer, "activation", None) not in _FOLDED_ACTIVATIONS


def find_places(model: keras.Model, keep: Sequence[str] = ()) -> tuple[Place, ...]:
    """Return the layers of a built model that become int8, those in nested models and layers included.

    Args:
        model: a built model.
        keep: patterns of paths, such as ``*/head_*``, of the layers that stay in float.

    Raises:
        ConfigError: a pattern that fits no layer, or nothing is left to become int8.
    """
    found = [
        Place(path, layer, summed, _end(layer))
        for path, layer in _walk(model)
        if (summed := _summed(layer)) is not None
    ]
    for pattern in keep:
        if not any(fnmatch(place.path, pattern) for place in found):
            paths = [place.path for place in found]
            raise ConfigError(f"keep: no layer with a kernel fits {pattern!r}; {nearest(pattern, paths)}")
    places = tuple(place for place in found if not any(fnmatch(place.path, pattern) for pattern in keep))
    if not places:
        raise ConfigError(
            f"{model.name}: expected layers with a kernel (convolutions, Dense), got {len(found)} of them, all kept "
            "in float. There is nothing to tune for int8."
        )
    return places


def _walk(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield every layer once, with its path, in the order of the model."""
    seen: set[int] = set()
    waiting = [(layer.name, layer) for layer in reversed(model.layers)]
    while waiting:
        path, layer = waiting.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield path, layer
        waiting += [(f"{path}/{inner.name}", inner) for inner in reversed(list(layer._layers))]


def _summed(layer: Any) -> tuple[int, ...] | None:
    """Return the kernel's axes that a layer sums over, or None where it has no kernel that becomes int8."""
    if not layer.built:
        return None
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return tuple(range(len(layer.kernel.shape) - 2))
    if isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Dense) and not _transposed(layer):
        return tuple(range(len(layer.kernel.shape) - 1))
    if isinstance(layer, layers.EinsumDense):
        kernel, result = layer.equation.split(",")[1].split("->")
        return tuple(axis for axis, letter in enumerate(kernel) if letter not in result)
    return None


def _transposed(layer: Any) -> bool:
    return isinstance(layer, layers.Conv1DTranspose | layers.Conv2DTranspose)


def _end(layer: Any) -> Any:
    """Follow the graph through what the exporters fold."""
    end = layer
    if getattr(layer, "activation", None) not in (None, keras.activations.linear):
        return end
    while True:
        readers = {id(node.operation): node.operation for node in end._outbound_nodes}
        if len(readers) != 1:
            return end
        (reader,) = readers.values()
        if isinstance(reader, layers.BatchNormalization):
            end = reader
        elif _is_relu(reader):
            return reader
        else:
            return end


def _is_relu(operation: Any) -> bool:
    if isinstance(operation, layers.ReLU):
        return not operation.negative_slope and not operation.threshold
    return isinstance(operation, layers.Activation) and operation.activation in _FOLDED_ACTIVATIONS[1:]
