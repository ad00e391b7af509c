"""Finds the layers that an exporter writes in int8: those with a kernel.

LiteRT and TensorRT fold a batch normalization and a ReLU after a layer into it; the int8 output is then theirs.
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
"""Activation functions that are part of the int8 operation; others receive its rounded output."""


@dataclass(frozen=True)
class Place:
    """A layer that becomes int8."""

    path: str
    """Path of the layer in the model, such as ``image_branch/edge/stem_conv``, as in exported files."""
    layer: Any
    """The Keras layer."""
    summed: tuple[int, ...]
    """Axes of its kernel that it sums over."""
    end: Any
    """The layer with the int8 output: the layer itself, or the last one that is folded into it."""

    @property
    def dense(self) -> bool:
        """Whether it is a dense layer, not a convolution."""
        return isinstance(self.layer, layers.Dense | layers.EinsumDense)

    @property
    def activation_within(self) -> bool:
        """Whether the layer's own activation function receives the rounded output."""
        return getattr(self.layer, "activation", None) not in _FOLDED_ACTIVATIONS


def find_places(model: keras.Model, keep: Sequence[str] = ()) -> tuple[Place, ...]:
    """Return the layers of a built model that become int8, including those in nested models and layers.

    Args:
        model: a built model.
        keep: patterns of the paths of layers that stay in float, such as ``*/head_*``.

    Raises:
        ConfigError: a pattern fits no layer, or no layer becomes int8.
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
            "in float. There is nothing to fine-tune for int8."
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
    """Return the kernel's axes that a layer sums over, or None if the layer does not become int8."""
    if not layer.built:
        return None
    if isinstance(layer, layers.DepthwiseConv1D | layers.DepthwiseConv2D):
        return tuple(range(len(layer.kernel.shape) - 2))
    transposed = isinstance(layer, layers.Conv1DTranspose | layers.Conv2DTranspose)
    if isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Dense) and not transposed:
        return tuple(range(len(layer.kernel.shape) - 1))
    if isinstance(layer, layers.EinsumDense):
        kernel, result = layer.equation.split(",")[1].split("->")
        return tuple(axis for axis, letter in enumerate(kernel) if letter not in result)
    return None


def _end(layer: Any) -> Any:
    """Return the last layer that the exporters fold into a layer, or the layer itself."""
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
