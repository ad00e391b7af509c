"""The columns of a row and the features that they become, for a configuration and a spec alike. numpy only."""

from __future__ import annotations

import numpy as np

__all__ = ["DATE_FEATURES", "Columns"]

DATE_FEATURES = 5
"""Numbers that a date becomes: days since 1970, and sine and cosine of the day in its year and in its week."""


class Columns:
    """Names of columns by kind, as fields of the classes that derive from this one."""

    numbers: tuple[str, ...]
    dates: tuple[str, ...]
    categories: tuple[str, ...]
    date_format: str

    @property
    def scaled(self) -> tuple[str, ...]:
        """The columns that are standardised: numbers, then dates."""
        return (*self.numbers, *self.dates)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column, in the order of the branch's tokens and of a line of CSV."""
        return (*self.scaled, *self.categories)

    @property
    def features(self) -> int:
        """Numbers that the columns of numbers and dates become."""
        return len(self.numbers) + DATE_FEATURES * len(self.dates)

    @property
    def owners(self) -> np.ndarray:
        """int64 (features,): which of the scaled columns a feature is of."""
        dates = np.repeat(np.arange(len(self.dates)), DATE_FEATURES) + len(self.numbers)
        return np.concatenate([np.arange(len(self.numbers)), dates])

    @property
    def firsts(self) -> np.ndarray:
        """int64 (scaled columns,): the first feature of each of them."""
        return np.searchsorted(self.owners, np.arange(len(self.scaled)))
