"""Mean and standard deviation of numbers that come in batches."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

__all__ = ["moments"]


def moments(batches: Iterable[np.ndarray]) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of rows, and mean and standard deviation of every column, in float64.

    A single batch gives exactly what numpy gives. Batches are merged as Chan, Golub and LeVeque (1983, Algorithms for
    computing the sample variance) do, which does not lose digits where the mean is large.

    Args:
        batches: each (n, ...), read once.

    Returns:
        The count, and mean and standard deviation (...); both empty where there is no row.
    """
    count, mean, squares = 0, np.zeros(0), np.zeros(0)
    for batch in batches:
        values = np.asarray(batch, np.float64)
        if not len(values):
            continue
        own_mean = values.mean(axis=0)
        own_squares = ((values - own_mean) ** 2).sum(axis=0)
        if not count:
            count, mean, squares = len(values), own_mean, own_squares
            continue
        total, apart = count + len(values), own_mean - mean
        squares = squares + own_squares + apart**2 * (count * len(values) / total)
        mean = mean + apart * (len(values) / total)
        count = total
    return count, mean, np.sqrt(squares / max(count, 1))
