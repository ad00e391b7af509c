"""What a report shows of a task beside its metrics: decisions, confidences and predicted numbers, from evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Confidences", "Decisions", "Evidence", "Numbers", "joined", "rows_of"]

Evidence = Mapping[str, np.ndarray]
"""What the metrics need of N samples: arrays (N, ...) by name, small even for large outputs."""


def joined(parts: Sequence[Evidence]) -> dict[str, np.ndarray]:
    """Return the rows of several batches one after the other; there must be one batch at least."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def rows_of(evidence: Evidence, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return some rows: by positions or a mask (N,)."""
    return {name: value[rows] for name, value in evidence.items()}


@dataclass(frozen=True)
class Decisions:
    """True and chosen labels of N samples."""

    labels: tuple[str, ...]
    """Names (C,)."""
    truth: np.ndarray
    """bool (N, C)."""
    decided: np.ndarray
    """bool (N, C); all False for a sample without a valid output."""
    exclusive: bool = False
    """Exactly one label is true of each sample."""


@dataclass(frozen=True)
class Confidences:
    """Predicted probabilities of N samples, and whether each prediction was right."""

    confidence: np.ndarray
    """(N, K) in [0, 1]."""
    right: np.ndarray
    """bool (N, K)."""
    labels: tuple[str, ...] = ()
    """The label of each column (K,); empty if the only column holds the chosen label's probability."""


@dataclass(frozen=True)
class Numbers:
    """Predicted numbers of N samples."""

    names: tuple[str, ...]
    """(K,)."""
    units: tuple[str, ...]
    """(K,); empty without units."""
    truth: np.ndarray
    """float64 (N, K)."""
    value: np.ndarray
    """float64 (N, K); NaN where the output is not finite."""
