"""Mean average precision under many weightings of the same samples: the ranking, which takes the time, is made once."""

from __future__ import annotations

import numpy as np

__all__ = ["RankedPrecision"]


class RankedPrecision:
    """Mean of the average precision of C labels over those that have a positive, see `mmkeras.tasks._metrics`.

    Args:
        truth: bool (N, C).
        scores: (N, C) confidence; NaN ranks last.
    """

    def __init__(self, truth: np.ndarray, scores: np.ndarray) -> None:
        known = np.nan_to_num(scores.astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        orders = np.argsort(-known, axis=0, kind="stable").T
        self._labels = [
            (order, truth[order, label], np.flatnonzero(np.append(np.diff(known[order, label]) != 0, True)))
            for label, order in enumerate(orders)
        ]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return the metric (R,) under weights (R, N); NaN where no label has a positive."""
        total, labels = np.zeros(len(weights)), np.zeros(len(weights))
        for order, positive, ends in self._labels:
            ranked = weights[:, order].astype(np.float64)
            # Samples of equal confidence count together: only the last of them is read.
            every = np.cumsum(ranked, axis=1)[:, ends]
            hits = np.cumsum(ranked * positive, axis=1)[:, ends]
            precision = np.divide(hits, every, out=np.zeros_like(every), where=every > 0)
            area = (np.diff(hits, prepend=0.0, axis=1) * precision).sum(axis=1)
            present = hits[:, -1] > 0
            total += np.divide(area, hits[:, -1], out=np.zeros_like(area), where=present)
            labels += present
        return np.divide(total, labels, out=np.full(len(total), np.nan), where=labels > 0)
