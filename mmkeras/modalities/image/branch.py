"""The image encoder: an EfficientNet feature map as tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import layers, ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.features import drop_features
from mmkeras.layers.keras_files import load_weights
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.media.geometry import cell_centres
from mmkeras.modalities.image.edge import edge_backbone
from mmkeras.modalities.image.imagenet import load_imagenet
from mmkeras.modalities.image.spec import Config, Spec

__all__ = ["GridPosition", "build", "merge_pyramid", "scale_as_trained"]

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


_BLOCK_END = re.compile(r"block(\d+)[a-z]+_(add|project_bn|project_activation)$")


@keras.saving.register_keras_serializable("mmkeras")
class GridPosition(layers.Layer):
    """Adds a learned embedding to each cell of a flattened feature map (B, N, D)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create one vector per cell, shape (1, N, D)."""
        self.embedding = self.add_weight(
            shape=(1, *input_shape[1:]), initializer=keras.initializers.RandomNormal(stddev=0.02), name="embedding"
        )

    def call(self, values: Any) -> Any:
        """Add the embedding."""
        return values + self.embedding


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder: pixels -> EfficientNet features at stride ``2**level`` -> tokens in the common width.

    Returns:
        A branch with one input ``<name>`` uint8 (B, H, W, 3) and tokens (B, h*w, D), row by row; with a pyramid the
        tokens are a map with positions.

    Raises:
        ConfigError: weights that do not fit, or a level that the architecture does not have.
    """
    backbone = _backbone(spec, config)
    _freeze(backbone, config.frozen_stages)
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            # Keras' 0.99 lags several epochs behind on small data, with validation at chance level until then.
            layer.momentum = config.batch_norm_momentum
    pixels = keras.Input((spec.height, spec.width, 3), dtype="uint8", name=spec.name)
    # Cast in the graph: cameras deliver bytes, and a uint8 input needs a quarter of the traffic of a float input.
    scaled = ops.cast(pixels, keras.config.floatx())
    if config.pyramid:
        maps = _at_levels(backbone, spec, config, range(config.level, config.level + 3))(scaled)
        features = merge_pyramid(maps, width, config.batch_norm_momentum, spec.name)
    else:
        (features,) = _at_levels(backbone, spec, config, (config.level,))(scaled)
    rows, columns = (int(side) for side in features.shape[1:3])
    values = layers.Reshape((rows * columns, features.shape[-1]), name=f"{spec.name}_flatten")(features)
    values = drop_features(values, config.feature_dropout, spec.name)
    values = layers.Dense(width, name=f"{spec.name}_projection")(values)
    if config.position_embedding:
        values = GridPosition(name=f"{spec.name}_position")(values)
    encoder = keras.Model(pixels, values, name=f"{spec.name}_branch")
    inputs = {spec.name: keras.Input((spec.height, spec.width, 3), dtype="uint8", name=spec.name)}
    values = encoder(inputs[spec.name])
    mask = ops.ones_like(values[:, :, 0], dtype="int32")
    if not config.pyramid:
        return Branch(inputs, Tokens(values, mask))
    # A numpy constant: a tensor would become an input of the ONNX graph.
    position = ops.zeros_like(values[:, :, :2], dtype=keras.config.floatx()) + cell_centres(rows, columns)[None]
    return Branch(inputs, Tokens(values, mask, position, grid=(rows, columns)))


def _backbone(spec: Spec, config: Config) -> keras.Model:
    shape = (spec.height, spec.width, 3)
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
                "image.width_factor, image.depth_factor, image.fused_stages and image.top change only the edge "
                "architecture"
            )
        backbone = getattr(keras.applications, config.architecture)(
            include_top=False, weights=_download(config) if config.weights == "imagenet" else None, input_shape=shape
        )
    if config.weights not in ("none", "imagenet"):
        _load(backbone, Path(config.weights))
    return backbone


def _download(config: Config) -> str:
    """Fetch the ImageNet weights, with a readable error on a machine without network."""
    try:
        getattr(keras.applications, config.architecture)(include_top=False, weights="imagenet")
    except Exception as error:
        raise ConfigError(
            f"image.weights: the ImageNet weights of {config.architecture} could not be fetched ({error}). "
            "Fetch the notop .h5 file elsewhere and give its path as image.weights, or use 'none'."
        ) from error
    return "imagenet"


def _load(backbone: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise ConfigError(
            f"image.weights: expected 'none', 'imagenet' or a file, got {str(path)!r}, which does not exist"
        )
    try:
        load_weights(backbone, path)
        if backbone.name.startswith("efficientnetb"):
            scale_as_trained(backbone, path)
    except Exception as error:
        raise ConfigError(
            f"image.weights: {path} does not fit {backbone.name} without its top ({error}). "
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


def _at_levels(backbone: keras.Model, spec: Spec, config: Config, levels: Iterable[int]) -> keras.Model:
    """Cut the backbone after the last block of each stride ``2**level``; the outputs are a list."""
    ends = [layer for layer in backbone.layers if _BLOCK_END.match(layer.name) or layer.name == "top_activation"]
    outputs = []
    for level in levels:
        stride = 2**level
        expected = (math.ceil(spec.height / stride), math.ceil(spec.width / stride))
        matching = [layer for layer in ends if tuple(layer.output.shape[1:3]) == expected]
        if not matching:
            reached = sorted({tuple(layer.output.shape[1:3]) for layer in ends}, reverse=True)
            raise ConfigError(
                f"image.level: {level} needs a {expected[0]}x{expected[1]} feature map; "
                f"{config.architecture} at {spec.height}x{spec.width} has {reached}. Use a level from 1 to 5."
            )
        outputs.append(matching[-1].output)
    return keras.Model(backbone.input, outputs, name=backbone.name)


def merge_pyramid(maps: Sequence[Any], width: int, momentum: float, name: str) -> Any:
    """Merge maps from fine to coarse, each half as large as the one before, into features (B, h, w, width).

    ``momentum`` is that of the batch normalisation, ``name`` the prefix of the layers.

    Source: Lin et al. 2017, Feature Pyramid Networks (arXiv:1612.03144), with separable convolutions for the edge.
    """
    merged = None
    for number, features in reversed(list(enumerate(maps))):
        lateral = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_lateral_{number}")(features)
        lateral = layers.BatchNormalization(momentum=momentum, name=f"{name}_lateral_{number}_bn")(lateral)
        if merged is None:
            merged = lateral
            continue
        merged = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_upsample_{number}")(merged)
        merged = layers.Add(name=f"{name}_merge_{number}")([lateral, merged])
        merged = layers.ReLU(6.0, name=f"{name}_merge_{number}_activation")(merged)
        merged = layers.SeparableConv2D(width, 3, padding="same", use_bias=False, name=f"{name}_smooth_{number}")(
            merged
        )
        merged = layers.BatchNormalization(momentum=momentum, name=f"{name}_smooth_{number}_bn")(merged)
    return layers.ReLU(6.0, name=f"{name}_pyramid_activation")(merged)
