"""The encoder of a page: a transformer over words whose attention knows how words stand to each other.

Word pieces are pooled to words inside the graph. Sines of the sides of each word's box and of its segment's box are its
position in two dimensions (as LayoutLM's embeddings of coordinates, Xu et al. 2020, https://arxiv.org/abs/1912.13318);
`relations` adds a bias to every score of the attention.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.tokens import Branch, Tokens
from mmkeras.modalities.document.embeddings import minilm_embeddings
from mmkeras.modalities.document.numbers import BOX
from mmkeras.modalities.document.relations import relations
from mmkeras.modalities.document.spec import Config, Spec

__all__ = ["build"]

_WAVES = math.pi * 2.0 ** np.arange(5, dtype=np.float32)
"""Frequencies of the sines of a position, as multiples of the page."""
_HIDDEN = -9.0
"""Added to scores of padding: a larger number would take the range of an int8 tensor."""
_INNER = 16
"""Width of the layer between relations and biases."""


def build(spec: Spec, config: Config, width: int) -> Branch:
    """Build the encoder as a nested model ``<name>_branch``.

    Returns:
        A branch with the spec's inputs, and a token (B, N, width) for each word, with the middle of its box as
        position.

    Raises:
        ConfigError: heads that do not divide the width, or a vocabulary that is not MiniLM's with its embeddings.
        DependencyError: MiniLM's package is not installed.
    """
    if width % config.heads:
        raise ConfigError(f"{spec.name}.heads: expected a divisor of the width {width}, got {config.heads}")

    def inputs() -> dict[str, Any]:
        return {each.name: keras.Input(each.shape, dtype=each.dtype, name=each.name) for each in spec.tensors}

    # In this scope every variable has a path below <name>_branch, by which learning rates are chosen.
    with keras.name_scope(f"{spec.name}_branch"):
        given = inputs()
        token_ids, numbers, segments, mask = given.values()
        x = layers.LayerNormalization(name="words_norm")(
            _language(token_ids, spec, config, width) + _layout(numbers, config, width)
        )
        real = ops.cast(mask, x.dtype)
        hidden = ops.expand_dims(ops.expand_dims((1.0 - real) * _HIDDEN, 1), 1)
        if config.layers:
            related = layers.Dense(_INNER, "relu", name="relations_inner")(
                ops.cast(relations(numbers, segments), x.dtype)
            )
            bias = layers.Dense(config.layers * config.heads, name="relations_bias")(related)
            bias = ops.transpose(bias, (0, 3, 1, 2))
        for number in range(config.layers):
            own = bias[:, number * config.heads : (number + 1) * config.heads] + hidden
            x = _mixed(x, own, config, width, f"layer_{number + 1}")
        x = layers.LayerNormalization(name="norm")(x)
        encoder = keras.Model(list(given.values()), x, name=f"{spec.name}_branch")
    outer = inputs()
    values = encoder(list(outer.values()))
    outer_mask = outer[f"{spec.name}_padding_mask"]
    boxes = outer[f"{spec.name}_numbers"][:, :, BOX : BOX + 4]
    middle = 0.5 * (boxes[:, :, :2] + boxes[:, :, 2:])
    shown = ops.expand_dims(ops.cast(outer_mask, middle.dtype), -1)
    return Branch(outer, Tokens(values, outer_mask, middle * shown + shown - 1.0))


def _language(token_ids: Any, spec: Spec, config: Config, width: int) -> Any:
    """Return what the pieces of each word say (B, N, width): their mean, and the first of them."""
    frozen = config.embeddings == "minilm"
    table = layers.Embedding(len(spec.vocabulary), config.hidden, trainable=not frozen, name="pieces")
    embedded = table(token_ids)
    if frozen:
        table.set_weights([minilm_embeddings(spec.vocabulary, config.hidden)])
    there = ops.cast(ops.not_equal(token_ids, spec.ids["[PAD]"]), embedded.dtype)
    # Products with rows of shares, because int8 has no division of tokens.
    shares = there / ops.maximum(ops.sum(there, axis=2, keepdims=True), 1.0)
    mean = ops.sum(embedded * ops.expand_dims(shares, -1), axis=2)
    first = embedded[:, :, 0] * there[:, :, :1]
    x = layers.LayerNormalization(name="pieces_norm")(ops.concatenate([mean, first], axis=-1))
    if config.feature_dropout:
        x = layers.Dropout(config.feature_dropout, name="pieces_dropout")(x)
    return layers.Dense(width, name="pieces_projection")(x)


def _layout(numbers: Any, config: Config, width: int) -> Any:
    """Return what shape and place of each word say (B, N, width)."""
    sides = numbers[:, :, BOX : BOX + 8]
    waves = [function(sides * float(wave)) for wave in _WAVES for function in (ops.sin, ops.cos)]
    x = ops.concatenate([numbers, *waves], axis=-1)
    x = ops.gelu(layers.Dense(width, name="layout_inner")(x), approximate=True)
    if config.dropout:
        x = layers.Dropout(config.dropout, name="layout_dropout")(x)
    return layers.Dense(width, name="layout_outer")(x)


def _mixed(x: Any, bias: Any, config: Config, width: int, name: str) -> Any:
    """Return tokens (B, N, width) after a pre-norm transformer layer with a bias (B, heads, N, N) of the scores."""
    heads, size, count = config.heads, width // config.heads, x.shape[1]

    def dropped(values: Any, part: str) -> Any:
        return layers.Dropout(config.dropout, name=f"{name}_{part}_dropout")(values) if config.dropout else values

    def split(part: str, z: Any) -> Any:
        y = layers.Dense(width, use_bias=part != "key", name=f"{name}_{part}")(z)
        return ops.transpose(ops.reshape(y, (-1, count, heads, size)), (0, 2, 1, 3))

    z = layers.LayerNormalization(name=f"{name}_attention_norm")(x)
    query, key, value = (split(part, z) for part in ("query", "key", "value"))
    scores = ops.matmul(query * size**-0.5, ops.transpose(key, (0, 1, 3, 2))) + bias
    read = ops.matmul(dropped(ops.softmax(scores, axis=-1), "scores"), value)
    read = ops.reshape(ops.transpose(read, (0, 2, 1, 3)), (-1, count, width))
    x = x + dropped(layers.Dense(width, name=f"{name}_read")(read), "read")
    z = layers.LayerNormalization(name=f"{name}_feed_forward_norm")(x)
    z = ops.gelu(layers.Dense(2 * width, name=f"{name}_inner")(z), approximate=True)
    return x + dropped(layers.Dense(width, name=f"{name}_outer")(z), "outer")
