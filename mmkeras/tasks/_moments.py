"""Mean and standard deviation of numbers that come in batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

__all__ = ["Moments", "moments"]


@dataclass(frozen=True)
class Moments:
    """Count, mean and squared deviations of the columns of many rows.

    Batches are merged by the method of Chan, Golub and LeVeque (1983, Algorithms for computing the sample variance),
    which does not lose digits when the mean is large.
    """

    count: int
    """Rows."""
    mean: np.ndarray
    """float64 (...)."""
    squares: np.ndarray
    """float64 (...): sum of the squared deviations from the mean."""
    largest: np.ndarray
    """float64 (...): largest absolute value."""

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Return the moments of at least one row (n, ...)."""
        values = np.asarray(rows, np.float64)
        mean = values.mean(axis=0)
        return cls(len(values), mean, ((values - mean) ** 2).sum(axis=0), np.abs(values).max(axis=0))

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of all rows."""
        total, apart = self.count + other.count, other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * (self.count * other.count / total)
        mean = self.mean + apart * (other.count / total)
        return Moments(total, mean, squares, np.maximum(self.largest, other.largest))

    @property
    def variance(self) -> np.ndarray:
        """Mean squared deviation (...)."""
        return self.squares / self.count

    @property
    def mean_square(self) -> np.ndarray:
        """Mean square (...)."""
        return np.asarray(self.variance + self.mean**2)


def moments(batches: Iterable[np.ndarray]) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of rows of batches (n, ...), and mean and standard deviation of every column, float64 (...).

    Both are empty without any row. Those of a single batch are exactly numpy's.
    """
    whole: Moments | None = None
    for batch in batches:
        if len(batch):
            own = Moments.of(batch)
            whole = own if whole is None else whole + own
    return (0, np.zeros(0), np.zeros(0)) if whole is None else (whole.count, whole.mean, np.sqrt(whole.variance))
