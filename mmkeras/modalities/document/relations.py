"""How two words of a page stand to each other: same segment, same line, aligned, near, before or after."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from mmkeras.modalities.document.numbers import BOX

__all__ = ["relations"]

_STEPS = (-2, -1, 1, 2)
"""Distances in the reading order with a number of their own."""


def relations(numbers: Any, segments: Any) -> Any:
    """Return numbers from -1 to 1 for each pair of words, float (B, N, N, R).

    They are whether both are in one segment; how near their heights, middles, left and right sides and facing sides are
    (Gaussians of the distance); the distances of their middles on a coarse and a fine scale; and their distance in the
    reading order.

    Args:
        numbers: of the words (B, N, F), see `numbers`.
        segments: int32 (B, N).
    """
    left, top, right, bottom = (numbers[:, :, BOX + side] for side in range(4))
    across, down = _apart((left + right) * 0.5), _apart((top + bottom) * 0.5)
    same = ops.equal(ops.expand_dims(segments, 2), ops.expand_dims(segments, 1))
    same = ops.cast(same, numbers.dtype)
    place = np.arange(numbers.shape[1], dtype=np.float32)
    steps = place[:, None] - place[None, :]
    order = np.stack([*(np.float32(steps == step) for step in _STEPS), np.tanh(steps / 10)], axis=-1)[None]
    numbers_of_pairs = (
        same,
        _near(down, 0.008),
        _near(down, 0.03),
        _signed(down, 8.0),
        _signed(down, 40.0),
        _signed(across, 8.0),
        _signed(across, 40.0),
        _near(across, 0.1),
        _near(_apart(left), 0.01),
        _near(_apart(right), 0.01),
        _near(ops.expand_dims(left, 2) - ops.expand_dims(right, 1), 0.02),
        _near(ops.expand_dims(right, 2) - ops.expand_dims(left, 1), 0.02),
    )
    pairs = ops.concatenate([ops.expand_dims(each, -1) for each in numbers_of_pairs], axis=-1)
    # Added to zeros of the batch's size: a constant has no batch to be joined with.
    order = ops.zeros_like(pairs[:, :, :, : order.shape[-1]]) + order.astype(np.float32)
    return ops.concatenate([pairs, order], axis=-1)


def _apart(side: Any) -> Any:
    """Return the differences (B, N, N) of numbers (B, N)."""
    return ops.expand_dims(side, 2) - ops.expand_dims(side, 1)


def _near(distance: Any, reach: float) -> Any:
    """Return a Gaussian of a distance; beyond three reaches it stays at its value there, 0.0001.

    Cut before it is scaled: an int8 tensor would spend its range on distances that do not matter.
    """
    share = ops.clip(distance, -3.0 * reach, 3.0 * reach) * (1.0 / (3.0 * reach))
    return ops.exp(share * share * -9.0)


def _signed(distance: Any, scale: float) -> Any:
    """Return the hyperbolic tangent of a scaled distance, cut before it is scaled, see `_near`."""
    return ops.tanh(ops.clip(distance, -4.0 / scale, 4.0 / scale) * scale)
