"""Concatenation of the modalities."""

from __future__ import annotations

import keras

from mmkeras.fusion._tokens import align, check, fused, masked_mean
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ("pooled",)


def fuse(tokens: dict[str, Tokens], *, layers: int = 1, dropout: float = 0.0) -> Fused:
    """Concatenate the means of the modalities' real tokens and project them to the common width.

    Args:
        tokens: modalities by name.
        layers: Dense layers with gelu after the concatenation.
        dropout: share dropped after each of them in training.
    """
    aligned = align(tokens, check(tokens, layers=layers, dropout=dropout))
    means = [masked_mean(each) for each in aligned.values()]
    merged = keras.layers.Concatenate(name="fusion_concat")(means) if len(means) > 1 else means[0]
    return fused(aligned, merged, layers, dropout)
