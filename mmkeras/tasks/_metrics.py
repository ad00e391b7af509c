"""Metrics in numpy, equal to scikit-learn's, for a device that has neither scikit-learn nor Keras."""

from __future__ import annotations

import numpy as np

from mmkeras.core.errors import DataError

__all__ = [
    "RankedPrecision",
    "class_counts",
    "f1",
    "mean_of_known",
    "r2",
    "ratio",
    "sample_weights",
    "weighted_sums",
]


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


def weighted_sums(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the sums (R, ...) of rows (N, ...) under R weightings (R, N)."""
    return np.asarray((weights @ rows.reshape(len(rows), -1)).reshape(len(weights), *rows.shape[1:]))


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide; NaN where the divisor is not positive."""
    shape = np.broadcast(top, bottom).shape
    return np.asarray(np.divide(top, bottom, out=np.full(shape, np.nan), where=np.asarray(bottom) > 0))


def class_counts(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Stack true positives, predicted and actual indicators, float32 (N, 3, C), of truth and decision, bool (N, C)."""
    return np.stack([truth & decided, decided, truth], axis=1).astype(np.float32)


def f1(true_positive: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return F1 from weighted counts; NaN where a class is neither predicted nor present."""
    return ratio(2 * true_positive, predicted + actual)


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Return the mean (...) of the values (..., K) that are not NaN; NaN where all are."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def r2(squares: np.ndarray, first: np.ndarray, second: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the coefficient of determination (...) from sums over samples.

    Where a target is constant: 1 if it is met exactly, else 0, as in scikit-learn.

    Args:
        squares: sum of the squared errors (...).
        first: sum of the targets, less a number near their mean (...).
        second: sum of their squares (...).
        total: sum of the weights (...).
    """
    spread = second - ratio(first**2, total)
    # Rounding leaves up to a millionth of the squares of a constant, in sums of float32.
    constant = spread <= 1e-6 * second
    explained = 1 - squares / np.where(constant, 1, spread)
    return np.where(constant, np.where(np.isnan(squares), np.nan, squares == 0), explained)


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
