"""The backbones of pictures: the edge architecture and those of keras.applications, with weights, cut and frozen."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import h5py
import keras
import numpy as np

from mmkeras.core.errors import ConfigError
from mmkeras.layers.backbones.edge import edge_backbone
from mmkeras.layers.backbones.imagenet import load_imagenet
from mmkeras.layers.keras_files import load_weights

__all__ = ["PictureOptions", "picture_backbone", "scale_as_trained"]

_BLOCK_END = re.compile(r"block(\d+)[a-z]+_(add|project_bn|project_activation)$")
_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's red, green and blue, from 0 to 1."""


def scale_as_trained(backbone: keras.Model, path: Path) -> None:
    """Divide images by the standard deviation if the weights in a file were trained so.

    Keras' ImageNet weights of EfficientNetB0 to B7 hold the standard deviation in place of the variance of the
    normalization layer, so that layer divides by the root of the deviation. Keras divides by the root again in a second
    rescaling layer, but only builds that layer with ``weights="imagenet"``. Here the second division goes into the
    variance, which is saved with the model. Weights trained without the second rescaling have another variance and
    stay unchanged. EfficientNetV2 normalizes by constants.

    Source: https://github.com/tensorflow/tensorflow/issues/49930
    """
    normalization = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.Normalization))
    variance = keras.ops.convert_to_numpy(normalization.adapt_variance)
    if _rescalings(path) > 1 or np.allclose(variance, _DEVIATION, rtol=1e-3):
        normalization.adapt_variance.assign(variance * np.asarray(_DEVIATION, variance.dtype))
        normalization.finalize_state()


def _rescalings(path: Path) -> int:
    """Return the number of rescaling layers in a file; both formats of Keras list layers without weights too."""
    with h5py.File(path, "r") as file:
        layers: Any = file.get("layers", {})
        names = list(file.attrs.get("layer_names", layers))
    texts = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    return sum(text.startswith("rescaling") for text in texts)


class PictureOptions(Protocol):
    """The options of a modality whose branch has a backbone of pictures."""

    @property
    def kind(self) -> str:
        """Kind of the modality, for messages."""

    @property
    def architecture(self) -> str:
        """``edge``, or the name of a class in keras.applications."""

    @property
    def weights(self) -> str:
        """``none``, ``imagenet`` or the path of a file."""

    @property
    def width_factor(self) -> float:
        """Channels of the edge architecture, as a factor."""

    @property
    def depth_factor(self) -> float:
        """Layers of the edge architecture, as a factor."""

    @property
    def fused_stages(self) -> int:
        """Number of first stages of the edge architecture with full convolutions."""

    @property
    def top(self) -> bool:
        """Whether the edge architecture ends with its last 1x1 convolution."""

    @property
    def frozen_stages(self) -> int:
        """Number of stages that keep their weights; -1 for all."""

    @property
    def batch_norm_momentum(self) -> float:
        """Momentum of the moving statistics."""


def picture_backbone(config: PictureOptions, height: int, width: int, levels: Iterable[int]) -> keras.Model:
    """Build a backbone of pictures, with its weights loaded and its first stages frozen.

    Args:
        config: its options.
        height: of the pictures in pixels.
        width: of the pictures in pixels.
        levels: the outputs are the last features at each stride ``2**level``.

    Returns:
        A model from float pixels (B, height, width, 3), 0 to 255, to a list of features (B, h, w, C).

    Raises:
        ConfigError: weights that do not fit, or a level that the architecture does not have.
    """
    backbone = _loaded(config, (height, width, 3))
    _freeze(backbone, config.frozen_stages)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # Keras' 0.99 lags several epochs behind on small data, with validation at chance level until then.
            layer.momentum = config.batch_norm_momentum
    return _at_levels(backbone, config, height, width, levels)


def _loaded(config: PictureOptions, shape: tuple[int, int, int]) -> keras.Model:
    if config.architecture == "edge":
        backbone = edge_backbone(
            shape,
            width_factor=config.width_factor,
            depth_factor=config.depth_factor,
            fused_stages=config.fused_stages,
            top=config.top,
        )
        if config.weights == "imagenet":
            load_imagenet(backbone)
    else:
        if (config.width_factor, config.depth_factor, config.fused_stages, config.top) != (1.0, 1.0, 0, False):
            raise ConfigError(
                f"{config.kind}.width_factor, depth_factor, fused_stages and top change only the edge architecture"
            )
        backbone = getattr(keras.applications, config.architecture)(
            include_top=False, weights=_download(config) if config.weights == "imagenet" else None, input_shape=shape
        )
    if config.weights not in ("none", "imagenet"):
        _load(backbone, Path(config.weights), config.kind)
    return backbone


def _download(config: PictureOptions) -> str:
    """Fetch the ImageNet weights, with a readable error on a machine without network."""
    try:
        getattr(keras.applications, config.architecture)(include_top=False, weights="imagenet")
    except Exception as error:
        raise ConfigError(
            f"{config.kind}.weights: the ImageNet weights of {config.architecture} could not be fetched ({error}). "
            f"Fetch the notop .h5 file elsewhere and give its path as {config.kind}.weights, or use 'none'."
        ) from error
    return "imagenet"


def _load(backbone: keras.Model, path: Path, kind: str) -> None:
    if not path.is_file():
        raise ConfigError(
            f"{kind}.weights: expected 'none', 'imagenet' or a file, got {str(path)!r}, which does not exist"
        )
    try:
        load_weights(backbone, path)
        if backbone.name.startswith("efficientnetb"):
            scale_as_trained(backbone, path)
    except Exception as error:
        raise ConfigError(
            f"{kind}.weights: {path} does not fit {backbone.name} without its top ({error}). "
            "The file must hold the weights of the same architecture, size factors and Keras layout."
        ) from error


def _freeze(backbone: keras.Model, stages: int) -> None:
    """Freeze the stem and the first blocks; -1 freezes everything, batch statistics included."""
    if stages == 0:
        return
    if stages < 0:
        backbone.trainable = False
        return
    for layer in backbone.layers:
        block = re.match(r"block(\d+)", layer.name)
        if int(block[1]) <= stages if block else not layer.name.startswith("top"):
            layer.trainable = False


def _at_levels(
    backbone: keras.Model, config: PictureOptions, height: int, width: int, levels: Iterable[int]
) -> keras.Model:
    """Cut the backbone after the last block of each stride ``2**level``; the outputs are a list."""
    ends = [layer for layer in backbone.layers if _BLOCK_END.match(layer.name) or layer.name == "top_activation"]
    outputs = []
    for level in levels:
        stride = 2**level
        expected = (math.ceil(height / stride), math.ceil(width / stride))
        matching = [layer for layer in ends if tuple(layer.output.shape[1:3]) == expected]
        if not matching:
            reached = sorted({tuple(layer.output.shape[1:3]) for layer in ends}, reverse=True)
            raise ConfigError(
                f"{config.kind}.level: {level} needs a {expected[0]}x{expected[1]} feature map; "
                f"{config.architecture} at {height}x{width} has {reached}. Use a level from 1 to 5."
            )
        outputs.append(matching[-1].output)
    return keras.Model(backbone.input, outputs, name=backbone.name)
