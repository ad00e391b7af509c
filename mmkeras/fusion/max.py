"""The largest value of each feature over all modalities."""

from __future__ import annotations

from mmkeras.fusion._tokens import align, check, fused, join, masked_max
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ("pooled",)


def fuse(tokens: dict[str, Tokens], *, layers: int = 1, dropout: float = 0.0) -> Fused:
    """Take the maximum of each feature over the real tokens of all modalities.

    Args:
        tokens: modalities by name.
        layers: Dense layers with gelu after the maximum, which combine the features.
        dropout: share dropped after each of them in training.
    """
    aligned = align(tokens, check(tokens, layers=layers, dropout=dropout))
    return fused(aligned, masked_max(join(aligned)), layers, dropout)
