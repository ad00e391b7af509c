"""Encoder-decoder fusion: the tokens of one modality attend to those of all others."""

from __future__ import annotations

import dataclasses
from typing import Literal

import keras

from mmkeras.core.errors import ConfigError, nearest
from mmkeras.fusion._tokens import align, attend, check, clear, expand, join, masked_mean
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ("pooled", "map")


def fuse(
    tokens: dict[str, Tokens],
    *,
    query: str = "",
    layers: int = 2,
    heads: int = 4,
    feed_forward: int = 3,
    gated: bool = True,
    dropout: float = 0.0,
    self_attention: bool = True,
    pooling: Literal["first", "mean"] = "first",
) -> Fused:
    """Let one modality read the others through a pre-norm decoder (Vaswani et al. 2017, Xiong et al. 2020).

    Each layer adds to the querying tokens their attention over the memory (the other modalities), their
    self-attention, and a feed-forward step; each step normalizes its input. The attention layers over the memory are
    called ``fusion_cross_<i>``, those of the self-attention ``fusion_self_<i>``. Their second output holds the weights
    (B, heads, queries, keys), with keys in the order of the dict without the query. A single modality has only
    self-attention.

    Args:
        tokens: modalities by name.
        query: the modality that queries; by default the last one.
        layers: decoder layers.
        heads: attention heads; must divide the width.
        feed_forward: inner width of the feed-forward step, as a multiple of the width.
        gated: multiply two projections in the feed-forward step, which can compare a token with its attention result;
            without it, "is there a red shape?" takes many more epochs to learn.
        dropout: share dropped from attention weights and from the result of each step in training.
        self_attention: whether the querying tokens also attend to each other.
        pooling: ``first`` for the querying modality's first token (text: [CLS]), which must always be real; ``mean``
            for the mean of its real tokens.

    Returns:
        The pooled vector (B, D) and the querying modality's tokens (B, N, D), with their positions and grid.
    """
    width = check(tokens, heads=heads, layers=layers, feed_forward=feed_forward, dropout=dropout)
    if pooling not in ("first", "mean"):
        raise ConfigError(f"pooling: unknown {pooling!r}; {nearest(pooling, ('first', 'mean'))}")
    querying = query or list(tokens)[-1]
    if querying not in tokens:
        raise ConfigError(f"query: no modality is called {query!r}; {nearest(query, tokens)}")

    queries = tokens[querying]
    mask = queries.mask
    x = clear(queries.values, mask)
    others = {name: each for name, each in tokens.items() if name != querying}
    memory = join(align(others, width)) if others else None

    for i in range(1, layers + 1):
        if memory is not None:
            z = keras.layers.LayerNormalization(name=f"fusion_cross_{i}_norm")(x)
            x = x + attend(z, memory, heads, dropout, f"fusion_cross_{i}")
        if self_attention:
            z = keras.layers.LayerNormalization(name=f"fusion_self_{i}_norm")(x)
            x = x + attend(z, Tokens(z, mask), heads, dropout, f"fusion_self_{i}")
        z = keras.layers.LayerNormalization(name=f"fusion_feed_forward_{i}_norm")(x)
        x = x + expand(z, feed_forward * width, dropout, f"fusion_feed_forward_{i}", gated=gated)

    x = clear(keras.layers.LayerNormalization(name="fusion_norm")(x), mask)
    read = dataclasses.replace(queries, values=x)
    return Fused(x[:, 0] if pooling == "first" else masked_mean(read), read)
