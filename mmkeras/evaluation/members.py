"""Groups of samples, and sums over groups."""

from __future__ import annotations

import numpy as np

__all__ = ["Members", "without_each"]


class Members:
    """The group of each of N samples, numbered from 0. Samples without weight do not count as groups."""

    def __init__(self, groups: np.ndarray | None, weights: np.ndarray) -> None:
        self.weights = np.asarray(weights, np.float64)
        names = np.arange(len(weights)) if groups is None else np.asarray(groups)
        weighs = self.weights > 0 if self.weights.any() else np.ones(len(weights), bool)
        known, numbers = np.unique(names[weighs], return_inverse=True)
        self.count = len(known)
        self.of = np.zeros(len(weights), np.int64)  # a sample without weight adds nothing to group 0
        self.of[weighs] = numbers.reshape(-1)
        self._order = np.argsort(self.of, kind="stable")
        self._starts = np.searchsorted(self.of[self._order], np.arange(self.count))

    def without_each_block(self, blocks: int, seed: int) -> np.ndarray:
        """Return float32 (B, G): 0 for the groups of one block, 1 for the others; B is 0 with a single group.

        Args:
            blocks: most blocks; with fewer groups, each group is a block.
            seed: of the assignment of groups to blocks.
        """
        count = min(self.count, blocks) if self.count > 1 else 0
        dealt = np.arange(self.count) * count // self.count
        if count < self.count:
            dealt = np.random.default_rng(seed).permutation(dealt)
        return np.asarray(dealt != np.arange(count)[:, None], np.float32)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of values (N, K) within each group, float64 (G, K)."""
        summed: np.ndarray = np.add.reduceat(values.astype(np.float64)[self._order], self._starts, axis=0)
        return summed


def without_each(sums: np.ndarray) -> np.ndarray:
    """Return the total of sums (G, K) without each group, (G, K)."""
    total = sums.sum(axis=0)
    left = total - sums
    # Without the only group of a class, rounding would leave a small sum that counts as a class that is present.
    left[np.abs(left) <= 1e-9 * np.abs(sums).sum(axis=0)] = 0.0
    return left
