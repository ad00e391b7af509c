"""A transformer layer over tokens, built of Keras' own layers."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

__all__ = ["mix"]


def mix(x: Any, mask: Any | None, heads: int, width: int, name: str, dropout: float = 0.0) -> Any:
    """Return tokens (B, N, width) after one pre-norm transformer layer.

    Args:
        x: tokens (B, N, width).
        mask: int32 (B, N), 1 where a token is real; None where all are.
        heads: attention heads, a divisor of the width.
        width: of the tokens; the feed-forward part is twice as wide.
        name: prefix of the layers' names.
        dropout: share dropped of the attention weights and of what each part adds.
    """
    z = layers.LayerNormalization(name=f"{name}_attention_norm")(x)
    seen = None if mask is None else ops.expand_dims(ops.cast(mask, "bool"), 1)
    attention = layers.MultiHeadAttention(heads, width // heads, dropout=dropout, name=f"{name}_attention")
    x = x + _dropped(attention(z, z, attention_mask=seen), dropout, f"{name}_attention_dropout")
    z = layers.LayerNormalization(name=f"{name}_feed_forward_norm")(x)
    z = ops.gelu(layers.Dense(2 * width, name=f"{name}_inner")(z), approximate=True)
    return x + _dropped(layers.Dense(width, name=f"{name}_outer")(z), dropout, f"{name}_outer_dropout")


def _dropped(x: Any, dropout: float, name: str) -> Any:
    return layers.Dropout(dropout, name=name)(x) if dropout else x
