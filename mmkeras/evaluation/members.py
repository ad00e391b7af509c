"""Which group each sample is in, and sums over groups."""

from __future__ import annotations

import numpy as np

__all__ = ["Members", "without_each"]


class Members:
    """Which group each of N samples is in, the groups numbered from 0. Samples without weight are in no group."""

    def __init__(self, groups: np.ndarray | None, weights: np.ndarray) -> None:
        self.weights = np.asarray(weights, np.float64)
        names = np.arange(len(weights)) if groups is None else np.asarray(groups)
        weighs = self.weights > 0 if self.weights.any() else np.ones(len(weights), bool)
        known, numbers = np.unique(names[weighs], return_inverse=True)
        self.count = len(known)
        self.of = np.zeros(len(weights), np.int64)  # what weighs nothing adds nothing to group 0
        self.of[weighs] = numbers.reshape(-1)
        self._order = np.argsort(self.of, kind="stable")
        self._starts = np.searchsorted(self.of[self._order], np.arange(self.count))

    def without_each_block(self, blocks: int, seed: int) -> np.ndarray:
        """Return float32 (B, G): 0 for the groups of one block, 1 for the others.

        Args:
            blocks: the most blocks; as many as groups where there are fewer groups. None of a single group.
            seed: deals the groups out to the blocks.
        """
        count = min(self.count, blocks) if self.count > 1 else 0
        dealt = np.arange(self.count) * count // self.count
        if count < self.count:
            dealt = np.random.default_rng(seed).permutation(dealt)
        return np.asarray(dealt != np.arange(count)[:, None], np.float32)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Add up values (N, K) within each group, float64 (G, K)."""
        summed: np.ndarray = np.add.reduceat(values.astype(np.float64)[self._order], self._starts, axis=0)
        return summed


def without_each(sums: np.ndarray) -> np.ndarray:
    """Return what is left of the total of sums (G, K) without each group, (G, K)."""
    total = sums.sum(axis=0)
    left = total - sums
    # What rounding leaves of a sum that one group alone makes up would count as a class that is present.
    left[np.abs(left) <= 1e-9 * np.abs(sums).sum(axis=0)] = 0.0
    return left
