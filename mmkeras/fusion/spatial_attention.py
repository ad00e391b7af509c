"""Cross-attention in a shared picture: each cell of a map attends to the near tokens of other sensors."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from mmkeras.core.errors import ConfigError, nearest
from mmkeras.fusion._alone import after_reading, extra_outputs
from mmkeras.fusion._spatial import LearnedMap, SpatialAttention
from mmkeras.fusion._tokens import align, check, clear, expand, join, masked_mean
from mmkeras.layers.tokens import Fused, Tokens
from mmkeras.layers.waves import waves
from mmkeras.media.geometry import cell_centres

__all__ = ["GIVES", "extra_outputs", "fuse"]

GIVES = ("pooled", "map")


def fuse(
    tokens: dict[str, Tokens],
    *,
    query: str = "",
    grid: tuple[int, int] | None = None,
    layers: int = 1,
    heads: int = 2,
    feed_forward: int = 2,
    dropout: float = 0.0,
    alone: bool = False,
) -> Fused:
    """Let the cells of one modality's map attend to the tokens of the others, with a preference for near ones.

    The pre-norm attention layers are called ``fusion_cross_<i>``; their second output holds the attention weights
    (B, heads, cells, keys). Scores fall with the distance between cell and token, with a learned reach per head; a
    learned null key receives the weight if no token fits. The last layer also reads out the measurements of a sensor
    (`Tokens.measured`) with its weights; they are appended to the fused tokens, so that a head can copy a distance
    instead of computing it. Without positions or measurements these parts are omitted.

    Args:
        tokens: modalities by name.
        query: the modality that queries; by default the first with a map, or else the last one.
        grid: rows and columns of learned queries, which then replace a querying modality.
        layers: layers of attention and feed-forward.
        heads: attention heads; must divide the width.
        feed_forward: inner width of the feed-forward step, as a multiple of the width.
        dropout: share dropped from the result of each step in training.
        alone: in training, give every output an extra output ``<output>_alone``, computed as if the other modalities
            were missing; it has a loss. The querying modality's branch runs only once. Needs ``layers`` to be 1.

    Returns:
        The pooled vector (B, D), the querying tokens (B, N, D + heads * (M + 1)) or (B, N, D) with their positions and
        grid, and estimates of their distances.
    """
    width = check(tokens, heads=heads, layers=layers, feed_forward=feed_forward, dropout=dropout)
    if query and grid is not None:
        raise ConfigError(f"query, grid: expected one of them, got {query!r} and {tuple(grid)}")
    if grid is not None and (len(grid) != 2 or min(grid) < 1):
        raise ConfigError(f"grid: expected rows and columns of at least 1, got {tuple(grid)}")
    if alone and layers > 1:
        raise ConfigError(f"alone: expected layers: 1, got layers: {layers}")
    if query and query not in tokens:
        raise ConfigError(f"query: no modality is called {query!r}; {nearest(query, tokens)}")
    if grid is not None:
        querying = ""
        queries = _learned(tokens, (int(grid[0]), int(grid[1])))
    else:
        querying = query or next((name for name, each in tokens.items() if each.grid), list(tokens)[-1])
        queries = tokens[querying]
    memory = {name: each for name, each in tokens.items() if name != querying}
    x = clear(queries.values, queries.mask)
    if queries.position is not None:
        x = x + keras.layers.Dense(width, name="fusion_position")(waves(queries.position[:, :, :2]))
    extras = _extras(queries, memory)
    joined = join(align(memory, width)) if memory else None
    answers_alone = alone and joined is not None and grid is None
    mask, readout, distances = queries.mask, None, None
    for i in range(1, layers + 1):
        if joined is not None:
            z = keras.layers.LayerNormalization(name=f"fusion_cross_{i}_norm")(x)
            attention = SpatialAttention(heads, dropout, name=f"fusion_cross_{i}")
            read, _, readout, *known = attention([z, joined.values, joined.mask, *extras])
            distances = known[0] if known else None
            x = x + read
        if answers_alone:
            x, mask, readout, distances = after_reading(x, mask, readout, distances)
        z = keras.layers.LayerNormalization(name=f"fusion_feed_forward_{i}_norm")(x)
        x = x + expand(z, feed_forward * width, dropout, f"fusion_feed_forward_{i}", gated=True)
    x = clear(keras.layers.LayerNormalization(name="fusion_norm")(x), mask)
    pooled = masked_mean(Tokens(x, mask))
    if readout is not None and len(extras) == 3:
        x = ops.concatenate([x, clear(readout, mask)], axis=-1)
    return Fused(pooled, Tokens(x, mask, queries.position, grid=queries.grid, of=queries.of), distances)


def _learned(tokens: dict[str, Tokens], grid: tuple[int, int]) -> Tokens:
    first = next(iter(tokens.values())).values
    values = LearnedMap(grid[0] * grid[1], name="fusion_queries")(first)
    # A numpy constant: a tensor would become an input of the ONNX graph.
    position = ops.zeros_like(values[:, :, :2], dtype=keras.config.floatx()) + cell_centres(*grid)[None]
    return Tokens(values, ops.ones_like(values[:, :, 0], dtype="int32"), position, grid=grid)


def _extras(queries: Tokens, memory: dict[str, Tokens]) -> list[Any]:
    """Return positions of queries and keys, and measurements, if every modality has them."""
    positions = [each.position for each in memory.values() if each.position is not None]
    if not positions or len(positions) < len(memory) or queries.position is None:
        return []
    # Distances are used if every modality in the memory has them.
    known = min(int(position.shape[-1]) for position in positions)
    positions = [position[:, :, :known] for position in positions]
    masks = ops.concatenate([each.mask for each in memory.values()], axis=1)
    extras = [queries.position, clear(ops.concatenate(positions, axis=1), masks)]
    measured = [each.measured for each in memory.values()]
    if len(measured) == 1 and measured[0] is not None:
        extras.append(clear(measured[0], masks))
    return extras
