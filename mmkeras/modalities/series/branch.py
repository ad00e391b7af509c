"""The encoder of a series: patches as tokens mixed by a transformer, or convolutions.

Source of the patches: Nie et al. 2023, A Time Series is Worth 64 Words (PatchTST, arXiv:2211.14730). There each
feature is a sequence of its own; here a patch holds all features of its steps: the fusion has one token for each time.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.mixing import mix
from mmkeras.layers.positions import GridPosition
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.modalities.series.spec import Config, Spec

__all__ = ["build"]


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder as a nested model ``<name>_branch``.

    Returns:
        The inputs of ``spec.tensors``; tokens (B, N + 1, width): a summary of level and missing numbers, always real,
        then patches or steps in the order of time, real where one of their numbers is.

    Raises:
        ConfigError: heads that do not divide the width.
    """
    name = spec.name
    if config.form == "patches" and config.layers and width % config.heads:
        raise ConfigError(f"{name}.heads: expected a divisor of the width {width}, got {config.heads}")
    dropout = 0.0 if config.frozen else config.dropout
    given = {tensor.name: keras.Input(tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in spec.tensors}
    values = given[f"{name}_values"]
    there = ops.cast(given[f"{name}_mask"], values.dtype)
    steps = ops.concatenate([values, there], axis=-1)
    known = _real(there, config)
    x = _patches(steps, config, width, name) if config.form == "patches" else _convolved(steps, config, width, name)
    share = ops.mean(there, axis=1)
    level = given.get(f"{name}_level")
    about = share if level is None else ops.concatenate([level, share], axis=-1)
    summary = layers.Dense(width, name=f"{name}_summary")(about)
    x = ops.concatenate([ops.expand_dims(summary, 1), x], axis=1)
    for number in range(1, config.layers + 1 if config.form == "patches" else 1):
        x = mix(x, known, config.heads, width, f"{name}_{number}", dropout)
    x = layers.LayerNormalization(name=f"{name}_norm")(x)
    encoder = keras.Model(given, [x, known], name=f"{name}_branch")
    encoder.trainable = not config.frozen
    inputs = {tensor.name: keras.Input(tensor.shape, dtype=tensor.dtype, name=tensor.name) for tensor in spec.tensors}
    tokens, mask = encoder(inputs)
    return Branch(inputs, Tokens(tokens, mask))


def _patches(steps: Any, config: Config, width: int, name: str) -> Any:
    """Return tokens (B, N, width) of patches; the last one ends with the last step."""
    padded = ops.pad(steps, [[0, 0], [_before(steps.shape[1], config), 0], [0, 0]])
    x = layers.Conv1D(width, config.patch, config.stride or config.patch, name=f"{name}_patches")(padded)
    return GridPosition(name=f"{name}_positions")(x)


def _convolved(steps: Any, config: Config, width: int, name: str) -> Any:
    """Return steps (B, N, width) after convolutions that halve their number each."""
    x = steps
    for number in range(1, config.layers + 1):
        x = layers.Conv1D(width, config.patch, 2, padding="same", name=f"{name}_{number}_convolution")(x)
        x = layers.LayerNormalization(name=f"{name}_{number}_norm")(x)
        x = ops.gelu(x, approximate=True)
        if config.dropout and not config.frozen:
            x = layers.Dropout(config.dropout, name=f"{name}_{number}_dropout")(x)
    x = layers.Dense(width, name=f"{name}_steps")(x)
    return GridPosition(name=f"{name}_positions")(x)


def _real(there: Any, config: Config) -> Any:
    """Return the mask (B, N + 1) of the tokens, int32."""
    known = ops.max(there, axis=-1, keepdims=True)
    if config.form == "patches":
        known = ops.pad(known, [[0, 0], [_before(there.shape[1], config), 0], [0, 0]])
        known = ops.max_pool(known, config.patch, config.stride or config.patch)
    for _ in range(config.layers if config.form == "convolutions" else 0):
        known = ops.max_pool(known, 2, 2, padding="same")
    mask = ops.cast(ops.squeeze(known, -1) > 0.5, "int32")
    return ops.pad(mask, [[0, 0], [1, 0]], constant_values=1)


def _before(length: int, config: Config) -> int:
    """Return how many steps to add before the first, so that whole patches end with the last step."""
    stride = config.stride or config.patch
    return config.patch - length if length < config.patch else -(length - config.patch) % stride
