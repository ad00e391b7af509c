"""Metrics in numpy, equal to scikit-learn's, for a device that has neither scikit-learn nor Keras."""

from __future__ import annotations

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["average_precision", "f1", "mean_of_known", "r2", "sample_weights", "weighted_mean"]


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


def average_precision(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """Return the average precision of one label: precision times the rise in recall, ties together.

    Args:
        targets: (B,) 0 or 1.
        scores: (B,) confidence; NaN ranks last.
        weights: (B,) sample weights.

    Returns:
        Average precision, or NaN when no target is positive.
    """
    scores = np.nan_to_num(scores.astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    order = np.argsort(-scores, kind="stable")
    positive = np.cumsum((targets[order] > 0) * weights[order])
    total = np.cumsum(weights[order])
    if positive[-1] == 0:
        return float("nan")
    last = np.append(scores[order][1:] != scores[order][:-1], True)
    positive, total = positive[last], total[last]
    precision = np.divide(positive, total, out=np.zeros_like(total), where=total > 0)
    return float(np.sum(np.diff(positive, prepend=0.0) * precision) / positive[-1])
