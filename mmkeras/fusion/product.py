"""Product of the modalities, for answers that depend on whether they agree."""

from __future__ import annotations

import keras
from keras import ops

from mmkeras.fusion._tokens import align, check, fused, masked_mean
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ("pooled",)


def fuse(tokens: dict[str, Tokens], *, layers: int = 1, dropout: float = 0.0) -> Fused:
    """Multiply projections of the modalities' means feature by feature, and put the projections beside the product.

    Whether two modalities agree (is a statement true of a clip?) shows in none of them alone. A sum of both learns it
    slowly, because it has to build products first; here they are there from the start. A missing modality is its null
    token.

    Source: Kim et al. 2017, Hadamard Product for Low-rank Bilinear Pooling (https://arxiv.org/abs/1610.04325).

    Args:
        tokens: modalities by name.
        layers: Dense layers with gelu after the product.
        dropout: share dropped after each of them in training.
    """
    width = check(tokens, layers=layers, dropout=dropout)
    aligned = align(tokens, width)
    parts = [
        keras.layers.Dense(width, name=f"fusion_{name}_factor")(masked_mean(each)) for name, each in aligned.items()
    ]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged * part
    if len(parts) > 1:
        merged = ops.concatenate([merged, *parts], axis=-1)
    return fused(aligned, merged, layers, dropout)
