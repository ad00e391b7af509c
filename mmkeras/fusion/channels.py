"""Stacks the maps of several sensors as channels and mixes them by convolutions, as CRF-Net does."""

from __future__ import annotations

import keras

from mmkeras.core.errors import ConfigError
from mmkeras.fusion._tokens import align, check, clear, masked_mean
from mmkeras.layers.tokens import Fused, Tokens

__all__ = ["GIVES", "fuse"]

GIVES = ("pooled", "map")


def fuse(tokens: dict[str, Tokens], *, layers: int = 2, dropout: float = 0.0) -> Fused:
    """Concatenate the tokens at the same position of all modalities, and mix neighbours by convolutions.

    Source: Nobis et al. 2019, CRF-Net (arXiv:2005.07431). Modalities that are maps must have one size. Without maps the
    tokens are one row, and shorter modalities are padded.

    Args:
        tokens: modalities by name.
        layers: separable 3x3 convolutions.
        dropout: share of the result dropped in training.

    Returns:
        The pooled vector (B, D) and the mixed tokens (B, N, D) of all modalities with their grid.
    """
    width = check(tokens, layers=layers, dropout=dropout)
    grids = {name: each.grid for name, each in tokens.items() if each.grid}
    if len(set(grids.values())) > 1 or (grids and len(grids) < len(tokens)):
        shown = {name: each.grid for name, each in tokens.items()}
        raise ConfigError(
            f"fusion 'channels' stacks maps of one size (rows, columns), got {shown}. Set the radar's form to "
            "'channels', and its grid to that of the camera's map"
        )
    aligned = align(tokens, width)
    length = max(int(each.values.shape[1]) for each in aligned.values())
    padded = {name: _padded(each, length) for name, each in aligned.items()}
    mask = next(iter(padded.values())).mask
    for each in padded.values():
        mask = keras.ops.maximum(mask, each.mask)
    stacked = [each.values for each in padded.values()]
    x = keras.layers.Concatenate(name="fusion_channels")(stacked) if len(stacked) > 1 else stacked[0]
    grid = next(iter(grids.values()), None)
    rows, columns = grid or (1, length)
    x = keras.layers.Reshape((rows, columns, len(stacked) * width), name="fusion_map")(x)
    for i in range(1, layers + 1):
        x = keras.layers.SeparableConv2D(width, 3, padding="same", name=f"fusion_mix_{i}")(x)
        x = keras.ops.gelu(x, approximate=True)
    x = keras.layers.Reshape((length, width), name="fusion_tokens")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="fusion_dropout")(x)
    x = clear(x, mask)
    mixed = Tokens(x, mask, grid=grid, of=tuple(name for each in tokens.values() for name in each.of))
    return Fused(masked_mean(mixed), mixed)


def _padded(tokens: Tokens, length: int) -> Tokens:
    missing = length - int(tokens.values.shape[1])
    values = keras.ops.pad(tokens.values, [[0, 0], [0, missing], [0, 0]])
    return Tokens(values, keras.ops.pad(tokens.mask, [[0, 0], [0, missing]]))
