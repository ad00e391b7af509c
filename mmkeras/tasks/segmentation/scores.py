"""What metrics need of a mask: pixels by true and decided class, and edges that are found. numpy only."""

from __future__ import annotations

import numpy as np

__all__ = ["confusions", "counted", "decided", "edges"]

_WORD = 64
"""Classes whose edges fit into one number."""


def decided(scores: np.ndarray) -> np.ndarray:
    """Return the class of every pixel, int16 (B, H, W), from scores (B, H, W, K); -1 in samples that are not finite."""
    scores = np.asarray(scores)
    # A sum is finite only if all of its values are.
    with np.errstate(invalid="ignore", over="ignore"):
        finite = np.isfinite(scores.sum(axis=(1, 2, 3), dtype=np.float64))
    found = scores.argmax(axis=-1).astype(np.int16)
    found[~finite] = -1
    return found


def confusions(truth: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Return pixels by true and decided class, int32 (B, classes, classes + 1); the last column is "no decision".

    Args:
        truth: (B, H, W); pixels outside 0 .. classes - 1 are ignored.
        said: (B, H, W); -1 where there is no decision.
        classes: number of classes.
    """
    samples, columns = len(truth), classes + 1
    wanted = (truth >= 0) & (truth < classes)
    pairs = truth.astype(np.int32) * columns + np.where(said < 0, classes, said)
    pairs += (np.arange(samples, dtype=np.int32) * classes * columns)[:, None, None]
    counts = np.bincount(pairs[wanted], minlength=samples * classes * columns)
    return counts.reshape(samples, classes, columns).astype(np.int32)


def counted(counts: np.ndarray) -> np.ndarray:
    """Return hits, decided and true pixels, float64 (N, rows, 3), of counts (N, rows, columns)."""
    rows = counts.shape[1]
    hit = np.diagonal(counts, axis1=1, axis2=2)[:, :rows]
    return np.stack([hit, counts.sum(axis=1)[:, :rows], counts.sum(axis=2)], axis=-1).astype(np.float64)


def edges(truth: np.ndarray, said: np.ndarray, classes: int, reach: int) -> np.ndarray:
    """Return edge pixels by class, int32 (B, classes, 4): decided ones near a true one, decided, true near, true.

    An edge pixel of a class has a neighbour (above, below, left, right) of another class. It is found if the other mask
    has an edge pixel of the same class within ``reach`` pixels in both directions. Ignored pixels have no edges.

    Source: Csurka et al. 2013, What is a good evaluation measure for semantic segmentation? (BMVC).

    Args:
        truth: (B, H, W); pixels outside 0 .. classes - 1 are ignored, in both masks.
        said: (B, H, W).
        classes: number of classes.
        reach: pixels.
    """
    found = np.zeros((len(truth), classes, 4), np.int32)
    ignored = (truth < 0) | (truth >= classes)
    for sample, (true, own) in enumerate(zip(truth, said, strict=True)):
        masks = [np.where(ignored[sample], -1, mask).astype(np.int64) for mask in (own, true)]
        borders = [_border(mask) for mask in masks]
        for first in range(0, classes, _WORD):
            bits = [_bits(mask, border, first) for mask, border in zip(masks, borders, strict=True)]
            near = [_spread(each, reach) for each in bits]
            last = min(classes - first, _WORD)
            for side, (own_bits, other) in enumerate(((bits[0], near[1]), (bits[1], near[0]))):
                for column, each in ((2 * side, own_bits & other), (2 * side + 1, own_bits)):
                    place = masks[side] - first
                    found[sample, first : first + last, column] = np.bincount(place[each > 0], minlength=last)[:last]
    return found


def _border(mask: np.ndarray) -> np.ndarray:
    """Return bool (H, W): pixels of a class beside a pixel of another class."""
    result = np.zeros(mask.shape, bool)
    for axis in (0, 1):
        ahead = np.take(mask, range(1, mask.shape[axis]), axis)
        behind = np.take(mask, range(mask.shape[axis] - 1), axis)
        differ = (ahead != behind) & (ahead >= 0) & (behind >= 0)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (0, 1)
        result |= np.pad(differ, pad)
        pad[axis] = (1, 0)
        result |= np.pad(differ, pad)
    return result


def _bits(mask: np.ndarray, border: np.ndarray, first: int) -> np.ndarray:
    """Return uint64 (H, W): of an edge pixel the bit of its class, counted from ``first``."""
    here = border & (mask >= first) & (mask < first + _WORD)
    return np.where(here, np.left_shift(np.uint64(1), np.where(here, mask - first, 0).astype(np.uint64)), np.uint64(0))


def _spread(bits: np.ndarray, reach: int) -> np.ndarray:
    """Return the bits of all pixels within ``reach`` in both directions."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (reach, reach)
        padded, length = np.pad(bits, pad), bits.shape[axis]
        bits = np.bitwise_or.reduce([padded.take(range(at, at + length), axis) for at in range(2 * reach + 1)])
    return bits
