"""Maximum mean discrepancy between two sets of vectors; backend-neutral."""

from __future__ import annotations

from typing import Any

from keras import ops

__all__ = ["discrepancy"]

_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0)
"""Of the distances of unit vectors, which are between 0 and 2."""
_LEAST = 1e-12


def discrepancy(first: Any, second: Any, first_counts: Any, second_counts: Any, kernel: str) -> Any:
    """Return the unbiased estimate of the squared maximum mean discrepancy, a number.

    It compares distributions and needs no pairs: inputs without a partner count too. It may be below 0. Source: Gretton
    et al. 2012, A Kernel Two-Sample Test (JMLR 13), equation 3. The energy distance is the discrepancy of the kernel
    ``-|x - y|`` (Sejdinovic et al. 2013).

    Args:
        first: vectors of length 1, (N, D).
        second: vectors of length 1, (M, D).
        first_counts: 1 for each vector that counts, else 0, (N,).
        second_counts: the same for the second set (M,).
        kernel: ``gaussian`` or ``laplacian``, each the mean over several bandwidths, ``energy`` or ``polynomial``.
    """
    within_first = _mean(_kernel(first, first, kernel), first_counts, first_counts, apart=True)
    within_second = _mean(_kernel(second, second, kernel), second_counts, second_counts, apart=True)
    between = _mean(_kernel(first, second, kernel), first_counts, second_counts, apart=False)
    return within_first + within_second - 2.0 * between


def _kernel(first: Any, second: Any, kernel: str) -> Any:
    products = ops.matmul(first, ops.transpose(second))
    if kernel == "polynomial":
        return ops.power(0.5 * (products + 1.0), 3)
    squares = ops.maximum(2.0 - 2.0 * products, 0.0)
    if kernel == "gaussian":
        return sum(ops.exp(-squares / (2.0 * width**2)) for width in _BANDWIDTHS) / len(_BANDWIDTHS)
    # The root has no gradient at 0, where a vector meets itself.
    distances = ops.sqrt(squares + _LEAST)
    if kernel == "energy":
        return -distances
    return sum(ops.exp(-distances / width) for width in _BANDWIDTHS) / len(_BANDWIDTHS)


def _mean(values: Any, rows: Any, columns: Any, *, apart: bool) -> Any:
    """Return the mean of the values (N, M) of rows and columns that count, without the diagonal if ``apart``."""
    counts = ops.expand_dims(rows, 1) * ops.expand_dims(columns, 0)
    if apart:
        counts = counts * (1.0 - ops.eye(ops.shape(values)[0], dtype=values.dtype))
    return ops.sum(values * counts) / ops.maximum(ops.sum(counts), 1.0)
