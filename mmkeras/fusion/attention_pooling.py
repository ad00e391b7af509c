"""Attention of learned queries over the tokens of all modalities."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.core.errors import ConfigError
from mmkeras.fusion._tokens import align, attend, check, fused, join
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["GIVES", "LearnedQueries", "fuse"]

GIVES = ("pooled",)


def fuse(
    tokens: dict[str, Tokens], *, queries: int = 1, heads: int = 4, layers: int = 1, dropout: float = 0.0
) -> Fused:
    """Pool all tokens by attention with learned queries (Lee et al. 2019, https://arxiv.org/abs/1810.00825).

    The attention layer is called ``fusion_pooling_1``; its second output holds the attention weights
    (B, heads, queries, tokens of all modalities in the order of the dict).

    Args:
        tokens: modalities by name.
        queries: learned queries; their results are concatenated.
        heads: attention heads; must divide the width.
        layers: Dense layers with gelu after the pooling.
        dropout: share dropped from attention weights, from the pooled values and after each Dense layer in training.
    """
    width = check(tokens, heads=heads, layers=layers, dropout=dropout)
    if queries < 1:
        raise ConfigError(f"queries: expected at least 1, got {queries}")
    aligned = align(tokens, width)
    keys = join(aligned)
    vectors = LearnedQueries(queries, name="fusion_queries")(keys.values)
    found = attend(vectors, keys, heads, dropout, "fusion_pooling_1")
    return fused(aligned, keras.layers.Flatten(name="fusion_found")(found), layers, dropout)


@keras.saving.register_keras_serializable("mmkeras")
class LearnedQueries(keras.layers.Layer):
    """The same learned vectors (B, queries, D) for every sample; of its input (B, N, D) only B matters."""

    def __init__(self, queries: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queries = queries

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the vectors."""
        self.vectors = self.add_weight(
            shape=(1, self.queries, input_shape[-1]), initializer="truncated_normal", name="vectors"
        )

    def call(self, values: Any) -> Any:
        """Return the vectors once for every sample."""
        # Added to zeros of the batch's shape, so that converters need no dynamic broadcast.
        return ops.zeros_like(values[:, :1]) + ops.cast(self.vectors, values.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "queries": self.queries}
