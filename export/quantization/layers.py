"""The contract between a format's quantiser and the search for the layers that stay in float."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmkeras.runtime.differences.contents import keras_layer, part_of

__all__ = ["QuantizedLayer", "Quantizer", "describe", "scoped_name"]

# Names of a convolution or a dense layer in TensorFlow's graph.
_KERNELS = re.compile(r"/(convolution|depthwise|separable_conv2d|MatMul|Tensordot)(/|$)")


@dataclass(frozen=True)
class QuantizedLayer:
    """One operation with weights that can be written in int8."""

    name: str
    """Its name in the file, unique there."""
    layer: str
    """Path of its Keras layer, such as ``image_branch/stem_conv``; the name where no layer is found."""
    branch: str
    """Part of the model: a modality's name, ``fusion``, ``head`` or ``other``."""
    operation: str
    """The format's name for it, such as ``CONV_2D`` or ``MatMul``."""
    weights: int


class Quantizer(Protocol):
    """Writes int8 files of one model with any choice of layers in int8; ranges are measured once, on creation."""

    layers: tuple[QuantizedLayer, ...]
    """Layers that can be quantised, in the order of the graph."""

    def write(self, path: Path, keep: Iterable[str] = ()) -> None:
        """Write a file in which every layer is int8, except the layers named in ``keep``, which stay in float."""


def describe(name: str, scoped: str, operation: str, weights: int) -> QuantizedLayer:
    """Return a layer with its Keras layer and branch, read from ``scoped``, a name with the Keras layers' scopes."""
    return QuantizedLayer(name, keras_layer(scoped) or name, part_of(scoped), operation, weights)


def scoped_name(weights: str, output: str) -> str:
    """Return the name that contains the Keras layer of an operation in a LiteRT file.

    The weights have the layer's own name, the output that of the activation after it. TensorFlow 2.16 leaves the
    weights without a name; its output names join the names of all fused operations by semicolons.
    """
    if "/" in weights:
        return weights
    return next((name for name in output.split(";") if _KERNELS.search(name)), output)
