"""The exact interval of a share that was counted."""

from __future__ import annotations

__all__ = ["share_interval"]


def share_interval(hits: int, tried: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share, (0, 1) if nothing was tried.

    Source: Clopper and Pearson, 1934; the bounds are quantiles of Beta distributions.
    """
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, tried - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, tried - hits)) if hits < tried else 1.0
    return low, high
