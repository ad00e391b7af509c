"""Exact search of the nearest vectors, which computes only a part of most similarities."""

from __future__ import annotations

import numpy as np

__all__ = ["Nearest"]

_LEAD = 32
"""Numbers of each vector that are always compared."""
_FEW = 4096
"""Vectors up to which all numbers are compared."""
_SHARE = 0.2
"""Share of the vectors that may need all their numbers; with more, comparing everything is faster."""
_ROUNDING = 1e-5


class Nearest:
    """The nearest of N vectors of length 1, by cosine similarity.

    The vectors are turned so that their first 32 numbers hold as much of them as possible (principal axes). What the
    rest of a vector can add is at most the product of both lengths, so most vectors are ruled out by the first numbers
    alone. The answer is always that of comparing everything.

    Args:
        vectors: float32 (N, D).
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = np.ascontiguousarray(vectors, np.float32)
        count, size = self._vectors.shape
        self._axes: np.ndarray | None = None
        if count <= _FEW or size <= 2 * _LEAD:
            return
        sample = self._vectors[:: max(1, count // 10_000)].astype(np.float64)
        axes = np.linalg.eigh(sample.T @ sample)[1][:, ::-1]
        self._axes = np.ascontiguousarray(axes.T, np.float32)
        lead = self._vectors @ self._axes[:_LEAD].T
        self._lead = np.ascontiguousarray(lead)
        self._rest = np.sqrt(np.maximum(1.0 - np.square(lead, dtype=np.float32).sum(axis=1), 0.0)) + _ROUNDING

    def __len__(self) -> int:
        return len(self._vectors)

    def top(self, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions int64 (k,) of the nearest vectors and their similarities float32 (k,), best first.

        Of equal vectors the first comes first.

        Args:
            query: a vector of length 1, (D,).
            count: k, at most all vectors.
        """
        query = np.ascontiguousarray(query, np.float32)
        count = min(count, len(self))
        if count < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        places = self.candidates(query, count)
        scores = self._vectors @ query if places is None else self._vectors[places] @ query
        best = _best(scores, count)
        return (best if places is None else places[best]), scores[best]

    def candidates(self, query: np.ndarray, count: int) -> np.ndarray | None:
        """Return the positions of all vectors that may be among the nearest, in order; None for all vectors."""
        if self._axes is None or count > _FEW:
            return None
        turned = self._axes @ query
        lead = self._lead @ turned[:_LEAD]
        length = float(np.linalg.norm(turned[_LEAD:]))
        likely = np.argpartition(-lead, count - 1)[:count]
        # No less than `count` vectors are this close.
        least = float((self._vectors[likely] @ query).min()) - _ROUNDING
        places = np.flatnonzero(lead + length * self._rest >= least)
        return places if len(places) <= _SHARE * len(self) else None


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the highest scores, best first; of equal ones the first."""
    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    places = np.flatnonzero(scores >= least)
    return places[np.argsort(-scores[places], kind="stable")][:count]
