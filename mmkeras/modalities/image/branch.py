"""The image encoder: an EfficientNet feature map as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.backbones.pictures import picture_backbone
from mmkeras.layers.features import drop_features
from mmkeras.layers.positions import GridPosition
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.media.geometry import cell_centres
from mmkeras.modalities.image.spec import Config, Spec

__all__ = ["build", "merge_pyramid"]


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder: pixels -> EfficientNet features at stride ``2**level`` -> tokens in the common width.

    Returns:
        A branch with one input ``<name>`` uint8 (B, H, W, 3) and tokens (B, h*w, D), row by row; with a pyramid the
        tokens are a map with positions.

    Raises:
        ConfigError: weights that do not fit, or a level or cells that the features do not have.
    """
    levels = range(config.level, config.level + (config.pyramid_levels if config.pyramid else 1))
    backbone = picture_backbone(config, spec.height, spec.width, levels)
    pixels = keras.Input((spec.height, spec.width, 3), dtype="uint8", name=spec.name)
    # Cast in the graph: cameras deliver bytes, and a uint8 input needs a quarter of the traffic of a float input.
    scaled = ops.cast(pixels, keras.config.floatx())
    if config.pyramid:
        features = merge_pyramid(backbone(scaled), width, config.batch_norm_momentum, spec.name)
    else:
        (features,) = _averaged(backbone, config, spec.name)(scaled)
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


def _averaged(backbone: keras.Model, config: Config, name: str) -> keras.Model:
    """Return the backbone with its features averaged to `Config.cells`: if it is frozen, few features are stored."""
    if not config.cells:
        return backbone
    (features,) = backbone.outputs
    rows, columns = (int(side) for side in features.shape[1:3])
    down, across = config.cells
    if rows % down or columns % across:
        raise ConfigError(
            f"{name}.cells: expected divisors of the {rows}x{columns} features at level {config.level}, got "
            f"{down}x{across}. Change cells, level or size"
        )
    pool = layers.AveragePooling2D((rows // down, columns // across), name=f"{name}_cells")
    return keras.Model(backbone.input, [pool(features)], name=backbone.name)


def merge_pyramid(maps: Sequence[Any], width: int, momentum: float, name: str) -> Any:
    """Merge maps from fine to coarse, each half as large as the last, rounded up, into features (B, h, w, width).

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
        if merged.shape[1:3] != lateral.shape[1:3]:  # of an odd side, the coarser map covers one cell more
            merged = layers.Cropping2D(
                tuple((0, merged.shape[axis] - lateral.shape[axis]) for axis in (1, 2)), name=f"{name}_cut_{number}"
            )(merged)
        merged = layers.Add(name=f"{name}_merge_{number}")([lateral, merged])
        merged = layers.ReLU(6.0, name=f"{name}_merge_{number}_activation")(merged)
        merged = layers.SeparableConv2D(width, 3, padding="same", use_bias=False, name=f"{name}_smooth_{number}")(
            merged
        )
        merged = layers.BatchNormalization(momentum=momentum, name=f"{name}_smooth_{number}_bn")(merged)
    return layers.ReLU(6.0, name=f"{name}_pyramid_activation")(merged)
