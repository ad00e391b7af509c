"""Metrics in numpy, equal to scikit-learn's, for a device that has neither scikit-learn nor Keras."""

from __future__ import annotations

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["RankedPrecision", "f1", "mean_of_known", "r2", "sample_weights", "weighted_mean"]


def sample_weights(targets: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return float64 weights (B,), all 1 when none are given.

    Raises:
        DataError: no sample at all, weights of another length, or weights that sum to 0.
    """
    if len(targets) == 0:
        raise DataError("A score needs at least one sample, got none")
    result = np.ones(len(targets)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    if len(result) != len(targets) or not result.sum() > 0:
        raise DataError(f"Expected {len(targets)} weights with a positive sum, got {len(result)} with {result.sum()}")
    return result


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean of values (B,) under weights (B,)."""
    return float(np.sum(values * weights) / np.sum(weights))


def f1(true_positive: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return F1 per class from weighted counts; NaN where a class is neither predicted nor present."""
    total = predicted + actual
    return np.where(total > 0, 2 * true_positive / np.where(total > 0, total, 1), np.nan)


def mean_of_known(values: np.ndarray) -> float:
    """Return the mean of the values that are not NaN; NaN where all are."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else float("nan")


def r2(targets: np.ndarray, values: np.ndarray, share: np.ndarray) -> float:
    """Return the mean of the numbers' coefficients of determination.

    Where a target is constant: 1 if it is met exactly, else 0, as in scikit-learn.

    Args:
        targets: float64 (B, K).
        values: float64 (B, K).
        share: sample weights (B,) that sum to 1.
    """
    left = share @ (targets - values) ** 2
    spread = share @ (targets - share @ targets) ** 2
    constant = np.ptp(targets, axis=0) == 0
    explained = 1 - left / np.where(constant, 1, spread)
    return float(np.mean(np.where(constant, np.where(np.isnan(left), np.nan, left == 0), explained)))


class RankedPrecision:
    """Mean average precision under many weightings of the same samples; the ranking, which is slow, is made once.

    The average precision of a label is precision times the rise in recall, ties together. The mean is over the labels
    that have a positive.

    Args:
        truth: bool (N, C).
        scores: (N, C) confidence; NaN ranks last.
    """

    def __init__(self, truth: np.ndarray, scores: np.ndarray) -> None:
        known = np.nan_to_num(scores.astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        orders = np.argsort(-known, axis=0, kind="stable").T
        self._labels = []
        for label, order in enumerate(orders):
            ranked = known[order, label]
            # Of samples of equal confidence only the last is read, so that they count together.
            ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
            self._labels.append((order, truth[order, label], ends))

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return the metric (R,) under weights (R, N); NaN where no label has a positive."""
        total, labels = np.zeros(len(weights)), np.zeros(len(weights))
        for order, positive, ends in self._labels:
            ranked = weights[:, order].astype(np.float64)
            every = np.cumsum(ranked, axis=1)[:, ends]
            hits = np.cumsum(ranked * positive, axis=1)[:, ends]
            precision = np.divide(hits, every, out=np.zeros_like(every), where=every > 0)
            area = (np.diff(hits, prepend=0.0, axis=1) * precision).sum(axis=1)
            present = hits[:, -1] > 0
            total += np.divide(area, hits[:, -1], out=np.zeros_like(area), where=present)
            labels += present
        return np.divide(total, labels, out=np.full(len(total), np.nan), where=labels > 0)
