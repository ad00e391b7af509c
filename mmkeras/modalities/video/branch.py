"""The encoder of a clip: a backbone of pictures for every frame, then a transformer over time.

What moves is read from differences between frames: each frame has its features and, where they are fine yet, how much
they differ from those of the frame before; its token adds the change of both, and a first token has mean, deviation and
changes over the whole clip.
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
    frames = _frames(spec, config, 1 if config.still else spec.frames, shape)
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
    mask = ops.ones_like(values[:, :2, 0], dtype="int32")
    if not config.still:
        mask = ops.pad(outer[f"{name}_fresh"], [[0, 0], [1, 0]], constant_values=1)
    return Branch(outer, Tokens(values, mask))


def _frames(spec: Spec, config: Config, count: int, shape: tuple[int, ...]) -> keras.Model:
    """Return the model of the frames: pixels and flags (B, T) to features (B, T, cells * 2C) and flags as floats.

    The first half of the features are means in each cell, the second half absolute differences to the frame before.

    With a ``count`` of 1 the outputs are those of the frame in the middle alone.
    """
    backbone = picture_backbone(config, spec.height, spec.width, (config.level,))
    pixels = keras.Input(shape, dtype="uint8", name="pixels")
    fresh = keras.Input((spec.frames,), dtype="int32", name="fresh")
    # Cast in the graph, as its first operation: a uint8 input needs a quarter of the traffic of a float input, and
    # TensorRT 8.6 does not reshape one.
    x = ops.cast(pixels, keras.config.floatx())
    middle = spec.frames // 2
    x = ops.reshape(x[:, middle : middle + 1] if count == 1 else x, (-1, *shape[1:]))
    (x,) = backbone(x)
    rows, columns = (int(side) for side in x.shape[1:3])
    down, across = config.cells
    if rows % down or columns % across:
        raise ConfigError(
            f"{spec.name}.cells: expected divisors of the {rows}x{columns} features of a frame at level "
            f"{config.level}, got {down}x{across}. Change cells, level or size"
        )
    pool = layers.AveragePooling2D((rows // down, columns // across), name=f"{spec.name}_cells")
    size = down * across * x.shape[-1]
    features = ops.reshape(pool(x), (-1, count, size))
    if count > 1:
        # Before the averaging: what moves within a cell would be lost in its mean.
        maps = ops.reshape(x, (-1, count, rows, columns, x.shape[-1]))
        moved = ops.pad(ops.abs(maps[:, 1:] - maps[:, :-1]), [[0, 0], [1, 0], [0, 0], [0, 0], [0, 0]])
        moved = pool(ops.reshape(moved, (-1, rows, columns, x.shape[-1])))
        features = ops.concatenate([features, ops.reshape(moved, (-1, count, size))], axis=-1)
    flags = ops.cast(fresh, keras.config.floatx())
    if count == 1:  # a frame that repeats the one before is a picture all the same
        flags = ops.ones_like(flags[:, :1])
    return keras.Model([pixels, fresh], [features, flags], name=f"{spec.name}_frames")


def _tokens(features: Any, fresh: Any, config: Config, width: int, name: str) -> Any:
    """Return the tokens before the transformer (B, 1 + T, width)."""
    # Of the means alone: a frame that repeats the one before has them, but not its differences.
    means = features[:, :, : features.shape[-1] // 2]
    changes = ops.pad(means[:, 1:] - means[:, :-1], [[0, 0], [1, 0], [0, 0]])
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
