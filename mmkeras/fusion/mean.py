"""The mean of the modalities."""

from __future__ import annotations

from keras import ops

from mmkeras.fusion._tokens import align, check, fused, masked_mean
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ("pooled",)


def fuse(tokens: dict[str, Tokens], *, layers: int = 1, dropout: float = 0.0) -> Fused:
    """Average the means of the modalities' real tokens, so that all modalities have the same weight.

    Args:
        tokens: modalities by name.
        layers: Dense layers with gelu after the mean, which combine the modalities.
        dropout: share dropped after each of them in training.
    """
    aligned = align(tokens, check(tokens, layers=layers, dropout=dropout))
    merged = ops.mean(ops.stack([masked_mean(each) for each in aligned.values()], axis=1), axis=1)
    return fused(aligned, merged, layers, dropout)
