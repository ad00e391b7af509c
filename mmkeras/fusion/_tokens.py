"""Functions shared by the fusions: clear, join and pool masked tokens.

Masked positions are cleared with `where`, never by arithmetic, so that their content reaches no output or gradient.
Masking uses no large negative number outside Keras' own softmax, because it would take the whole quantization range of
an int8 tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmkeras.core.errors import ConfigError
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["align", "attend", "check", "clear", "expand", "fused", "join", "masked_max", "masked_mean"]


def check(
    tokens: Mapping[str, Tokens], *, heads: int = 1, layers: int = 1, feed_forward: int = 1, dropout: float = 0.0
) -> int:
    """Check the modalities and options of a fusion, and return the common width D.

    Raises:
        ConfigError: no modality, different widths, or an option outside its range.
    """
    if not tokens:
        raise ConfigError("A fusion needs at least one modality, got none. Add one to the model's configuration")
    widths = {name: int(each.values.shape[-1]) for name, each in tokens.items()}
    width = next(iter(widths.values()))
    if set(widths.values()) != {width}:
        raise ConfigError(f"A fusion needs modalities of one width, got {widths}")
    problems = []
    if heads < 1 or width % heads:
        fitting = [h for h in range(1, width + 1) if width % h == 0][:8]
        problems.append(f"heads: expected a divisor of the width {width} (such as {fitting}), got {heads}")
    for name, value in (("layers", layers), ("feed_forward", feed_forward)):
        if value < 1:
            problems.append(f"{name}: expected at least 1, got {value}")
    if not 0.0 <= dropout < 1.0:
        problems.append(f"dropout: expected a share of at least 0 and less than 1, got {dropout}")
    if problems:
        raise ConfigError("\n".join(problems))
    return width


def clear(values: Any, mask: Any) -> Any:
    """Return values (B, N, D) with zeros in the masked positions."""
    return ops.where(ops.expand_dims(ops.cast(mask, "bool"), -1), values, 0.0)


def align(tokens: Mapping[str, Tokens], width: int) -> dict[str, Tokens]:
    """Project every modality with a separate Dense and LayerNormalization; masked positions are zero.

    The learned offset of the normalization also identifies the modality.
    """
    aligned = {}
    for name, each in tokens.items():
        x = keras.layers.Dense(width, name=f"fusion_{name}_dense")(clear(each.values, each.mask))
        x = keras.layers.LayerNormalization(name=f"fusion_{name}_norm")(x)
        aligned[name] = Tokens(clear(x, each.mask), each.mask, of=each.of)
    return aligned


def join(tokens: Mapping[str, Tokens]) -> Tokens:
    """Return the tokens of all modalities as one sequence, in the order of the dict."""
    if len(tokens) == 1:
        return next(iter(tokens.values()))
    return Tokens(
        ops.concatenate([each.values for each in tokens.values()], axis=1),
        ops.concatenate([each.mask for each in tokens.values()], axis=1),
        of=tuple(name for each in tokens.values() for name in each.of),
    )


def masked_mean(tokens: Tokens) -> Any:
    """Return the mean of the real tokens (B, D), computed in full precision: bfloat16 cannot count beyond 256."""
    total = ops.sum(ops.cast(clear(tokens.values, tokens.mask), keras.config.floatx()), axis=1)
    count = ops.sum(ops.cast(tokens.mask, keras.config.floatx()), axis=1, keepdims=True)
    return ops.cast(total / count, tokens.values.dtype)


def masked_max(tokens: Tokens) -> Any:
    """Return the largest real value of each feature (B, D)."""
    values = clear(tokens.values, tokens.mask)
    below = ops.stop_gradient(ops.min(values, axis=1, keepdims=True)) - 1.0
    return ops.max(ops.where(ops.expand_dims(ops.cast(tokens.mask, "bool"), -1), values, below), axis=1)


def attend(queries: Any, keys: Tokens, heads: int, dropout: float, name: str) -> Any:
    """Return the multi-head attention (B, T, D) of queries (B, T, D) over the real keys (B, S, D).

    The layer's second output holds the attention weights (B, heads, T, S).
    """
    values, mask = keys.values, ops.cast(keys.mask, "bool")
    if values.shape[1] == 1:
        # Keras warns of a softmax over a single value, so a masked key is added.
        values, mask = ops.pad(values, [[0, 0], [0, 1], [0, 0]]), ops.pad(mask, [[0, 0], [0, 1]], constant_values=False)
    layer = keras.layers.MultiHeadAttention(heads, int(queries.shape[-1]) // heads, dropout=dropout, name=name)
    # The mask (B, 1, S) is the same for all queries. Indexing with None would become FlexStridedSlice in LiteRT.
    read, _ = layer(queries, values, attention_mask=ops.expand_dims(mask, 1), return_attention_scores=True)
    return keras.layers.Dropout(dropout, name=f"{name}_dropout")(read) if dropout else read


def expand(x: Any, inner: int, dropout: float, name: str, *, gated: bool = False) -> Any:
    """Return Dense(D)(gelu(Dense(inner)(x))) for x (..., D), with dropout.

    ``gated`` multiplies the inner values by a second Dense(inner)(x) (GEGLU, Shazeer 2020, arXiv:2002.05202).
    """
    # The tanh form of gelu: the exact form becomes Erfc, which some converters do not support.
    y = ops.gelu(keras.layers.Dense(inner, name=f"{name}_inner")(x), approximate=True)
    if gated:
        y = y * keras.layers.Dense(inner, name=f"{name}_gate")(x)
    y = keras.layers.Dense(int(x.shape[-1]), name=f"{name}_outer")(y)
    return keras.layers.Dropout(dropout, name=f"{name}_dropout")(y) if dropout else y


def fused(tokens: Mapping[str, Tokens], merged: Any, layers: int, dropout: float) -> Fused:
    """Apply ``gelu(W merged + b)`` ``layers`` times in the width of the modalities; the result is the pooled vector."""
    width = int(next(iter(tokens.values())).values.shape[-1])
    for i in range(1, layers + 1):
        merged = keras.layers.Dense(width, name=f"fusion_merged_{i}")(merged)
        merged = ops.gelu(merged, approximate=True)
        if dropout:
            merged = keras.layers.Dropout(dropout, name=f"fusion_merged_{i}_dropout")(merged)
    return Fused(merged)
