"""Metrics in numpy, equal to scikit-learn's, for devices without scikit-learn and Keras."""

from __future__ import annotations

import numpy as np

from mmkeras.core.errors import DataError

__all__ = [
    "RankedPrecision",
    "class_counts",
    "f1",
    "matthews",
    "mean_of_known",
    "r2",
    "ratio",
    "sample_weights",
    "weighted_rows",
    "weighted_sums",
]


def sample_weights(targets: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return float64 weights (B,); ones by default.

    Raises:
        DataError: no sample, weights of another length, or weights that sum to 0.
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


def weighted_rows(sample: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (k,) of samples with weight, in order, and their weights (k,).

    Whole weights repeat a row and leave its weight at 1, so that they equal copies of a sample exactly.

    Args:
        sample: int (n,): the sample of each row.
        weights: (S,) of the samples, at least 0.
    """
    of_row = weights[sample]
    if (weights == np.floor(weights)).all():
        rows = np.repeat(np.arange(len(sample)), of_row.astype(np.int64))
        return rows, np.ones(len(rows))
    rows = np.flatnonzero(of_row > 0)
    return rows, of_row[rows]


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return ``top / bottom``; NaN where the divisor is not positive."""
    shape = np.broadcast(top, bottom).shape
    return np.asarray(np.divide(top, bottom, out=np.full(shape, np.nan), where=np.asarray(bottom) > 0))


def class_counts(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Stack true positives, predicted and actual indicators, float32 (N, 3, C), of truth and decision, bool (N, C)."""
    return np.stack([truth & decided, decided, truth], axis=1).astype(np.float32)


def f1(true_positive: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return F1 from weighted counts; NaN where a class is neither predicted nor present."""
    return ratio(2 * true_positive, predicted + actual)


def matthews(hit: np.ndarray, predicted: np.ndarray, actual: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return Matthews' correlation coefficient (R,) of several classes, -1 to 1; 0 where one class is all there is.

    Source: Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient.

    Args:
        hit: weight of the right answers of each class (R, C).
        predicted: of all answers with the class (R, C); samples without an answer are a class of their own.
        actual: of all samples of the class (R, C).
        total: of all samples (R,).
    """
    squares = total**2
    none = total - predicted.sum(axis=1)
    spread = (squares - (predicted**2).sum(axis=1) - none**2) * (squares - (actual**2).sum(axis=1))
    # Sums in float32 leave a rounding error where one class is all there is.
    alone = spread <= 1e-10 * squares**2
    agreed = hit.sum(axis=1) * total - (predicted * actual).sum(axis=1)
    found = ratio(agreed, np.sqrt(np.where(alone, 1.0, spread)))
    return np.where(alone & (total > 0), 0.0, np.where(total > 0, found, np.nan))


def mean_of_known(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the mean along an axis of the values that are not NaN; NaN where all of them are NaN."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis))


def r2(squares: np.ndarray, first: np.ndarray, second: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the coefficient of determination (...) from sums over samples.

    For a constant target it is 1 if every prediction is exact, else 0, as in scikit-learn.

    Args:
        squares: sum of the squared errors (...).
        first: sum of the targets minus a number near their mean (...).
        second: sum of the squares of these differences (...).
        total: sum of the weights (...).
    """
    spread = second - ratio(first**2, total)
    # In float32 sums, rounding leaves a constant target a spread of up to a millionth of its squares.
    constant = spread <= 1e-6 * second
    explained = 1 - squares / np.where(constant, 1, spread)
    return np.where(constant, np.where(np.isnan(squares), np.nan, squares == 0), explained)


class RankedPrecision:
    """Mean average precision under many weightings of the same samples, which are ranked only once.

    The average precision of a label is the sum of precision times the rise in recall, where samples of equal score
    count together. The mean is over the labels that have a positive.

    Args:
        truth: bool (N, C).
        scores: (N, C); NaN ranks last.
    """

    def __init__(self, truth: np.ndarray, scores: np.ndarray) -> None:
        known = np.nan_to_num(scores.astype(np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        orders = np.argsort(-known, axis=0, kind="stable").T
        self._labels = []
        for label, order in enumerate(orders):
            ranked = known[order, label]
            # The curve is read at the last of several samples of equal score, so that they count together.
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
