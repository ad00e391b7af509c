"""Ranks of the right answers when each item of one kind searches the items of the other kind. numpy only."""

from __future__ import annotations

import numpy as np

__all__ = ["TIE", "first_rows", "ranks", "unit"]

TIE = 1e-5
"""Cosine similarities closer than this count as equal: rounding must not decide a rank."""
_BLOCK = 8_000_000
"""Similarities in memory at a time."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (N, D) scaled to length 1 in float32; a vector of zeros stays, NaN and infinity become NaN."""
    vectors = np.asarray(vectors, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        scaled = vectors / np.where(lengths == 0, np.float32(1), lengths)
    return np.asarray(np.where(np.isfinite(lengths), scaled, np.float32(np.nan)))


def first_rows(items: np.ndarray) -> np.ndarray:
    """Return the position of the first row of each distinct item (N,), in order."""
    return np.sort(np.unique(items, return_index=True)[1])


def ranks(queries: np.ndarray, of: np.ndarray, gallery: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the rank float64 (Q,) of the best right answer to each query, 1 if nothing else is as close.

    The right answers are those of the query's own group; others of its group are passed over. An answer that is as
    close as the right one (`TIE`) is ranked before it, so that equal vectors are never a success. The rank is
    infinite for a query without a valid vector or a right answer; a gallery item without a valid vector stands in front
    of everything.

    Args:
        queries: vectors of length 1, (Q, D).
        of: group of each query (Q,).
        gallery: vectors of length 1, (G, D).
        groups: group of each gallery item (G,).
    """
    found = np.empty(len(queries))
    block = max(1, _BLOCK // max(1, len(gallery)))
    for start in range(0, len(queries), block):
        rows = slice(start, start + block)
        with np.errstate(invalid="ignore"):
            scores = queries[rows] @ gallery.T
        own = of[rows, None] == groups[None]
        best = np.where(own & ~np.isnan(scores), scores, -np.inf).max(axis=1, initial=-np.inf)
        ahead = ~own & ~(scores < best[:, None] - TIE)
        found[rows] = np.where(np.isinf(best), np.inf, 1 + ahead.sum(axis=1))
    return found
