"""The encoder of a clip: a backbone of pictures for every frame, then a transformer over time.

What moves is read from differences between frames: each frame's token has its features and their change since the
frame before, and a first token has mean, deviation and changes over the whole clip.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.backbones.pictures import picture_backbone
from mmkeras.layers.mixing import mix
from mmkeras.layers.positions import GridPosition
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.modalities.video.spec import Config, Spec

__all__ = ["build"]


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder as a nested model ``<name>_branch``.

    Returns:
        A branch with inputs ``<name>`` uint8 (B, T, H, W, 3) and ``<name>_fresh`` int32 (B, T), and 1 + T tokens
        (B, 1 + T, width): one of the whole clip, and one for each frame that is new.

    Raises:
        ConfigError: heads that do not divide the width, weights that do not fit, or a level or cells that the features
            of a frame do not have.
    """
    if config.layers and width % config.heads:
        raise ConfigError(f"{spec.name}.heads: expected a divisor of the width {width}, got {config.heads}")
    name, shape = spec.name, (spec.frames, spec.height, spec.width, 3)

    def inputs() -> dict[str, Any]:
        return {each.name: keras.Input(each.shape, dtype=each.dtype, name=each.name) for each in spec.tensors}

    # One model holds all that is frozen with the backbone, from inputs to features: these are then computed once. The
    # flags pass through it, so that nothing behind it reads an input.
    frames = _frames(spec, config, shape)
    given = inputs()
    features, fresh = frames(list(given.values()))
    features = layers.BatchNormalization(momentum=config.batch_norm_momentum, name=f"{name}_features_bn")(features)
    x = _tokens(features, fresh, config, width, name)
    whole = ops.pad(fresh, [[0, 0], [1, 0]], constant_values=1.0)
    for number in range(1, config.layers + 1):
        x = mix(x, whole, config.heads, width, f"{name}_{number}", config.dropout)
    x = layers.LayerNormalization(name=f"{name}_norm")(x)
    encoder = keras.Model(list(given.values()), x, name=f"{name}_branch")
    outer = inputs()
    values = encoder(list(outer.values()))
    mask = ops.pad(outer[f"{name}_fresh"], [[0, 0], [1, 0]], constant_values=1)
    return Branch(outer, Tokens(values, mask))


def _frames(spec: Spec, config: Config, shape: tuple[int, ...]) -> keras.Model:
    """Return the model of the frames: pixels and flags (B, T) to features (B, T, cells * C) and flags as floats."""
    backbone = picture_backbone(config, spec.height, spec.width, (config.level,))
    pixels = keras.Input(shape, dtype="uint8", name="pixels")
    fresh = keras.Input((spec.frames,), dtype="int32", name="fresh")
    # Cast behind the reshaping: a uint8 input needs a quarter of the traffic of a float input.
    x = ops.cast(ops.reshape(pixels, (-1, *shape[1:])), keras.config.floatx())
    (x,) = backbone(x)
    rows, columns = (int(side) for side in x.shape[1:3])
    down, across = config.cells
    if rows % down or columns % across:
        raise ConfigError(
            f"{spec.name}.cells: expected divisors of the {rows}x{columns} features of a frame at level "
            f"{config.level}, got {down}x{across}. Change cells, level or size"
        )
    if (rows, columns) != (down, across):
        x = layers.AveragePooling2D((rows // down, columns // across), name=f"{spec.name}_cells")(x)
    features = ops.reshape(x, (-1, spec.frames, down * across * x.shape[-1]))
    return keras.Model([pixels, fresh], [features, ops.cast(fresh, keras.config.floatx())], name=f"{spec.name}_frames")


def _tokens(features: Any, fresh: Any, config: Config, width: int, name: str) -> Any:
    """Return the tokens before the transformer (B, 1 + T, width)."""
    changes = ops.pad(features[:, 1:] - features[:, :-1], [[0, 0], [1, 0], [0, 0]])
    # Products with a row of shares, because int8 has no division of tokens and no square root.
    shares = ops.expand_dims(fresh / ops.maximum(ops.sum(fresh, axis=1, keepdims=True), 1.0), 1)
    mean = ops.matmul(shares, features)
    spread = ops.matmul(shares, ops.abs(features - mean))
    moved = ops.matmul(shares, ops.abs(changes))
    both = ops.concatenate([features, changes], axis=-1)
    clip = ops.concatenate([mean, spread, moved], axis=-1)
    if config.dropout:
        both = layers.Dropout(config.dropout, name=f"{name}_frames_dropout")(both)
        clip = layers.Dropout(config.dropout, name=f"{name}_clip_dropout")(clip)
    clip = layers.Dense(width, name=f"{name}_clip_projection")(clip)
    both = layers.Dense(width, name=f"{name}_projection")(both)
    return ops.concatenate([clip, GridPosition(name=f"{name}_time")(both)], axis=1)
