"""How a file's outputs differ from the Keras model's, batch by batch: nothing is kept but sums, maxima and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.verification.results import OutputDifference
from mmkeras.core.errors import ExportError
from mmkeras.tasks._moments import Moments

__all__ = ["FEW", "Difference", "Reduced", "channels"]

FEW = 1e-5
"""Share of an output's values that `OutputDifference.relative_most` leaves out."""


@dataclass(frozen=True)
class Reduced:
    """What is kept of a file's outputs on N samples."""

    evidence: dict[str, np.ndarray]
    """The task's evidence."""
    flips: np.ndarray
    """bool (N,): changed decisions."""
    close: np.ndarray
    """bool (N,): changed decisions that were near ties of the Keras model."""
    differences: dict[str, Difference]
    """By output."""


def channels(values: np.ndarray) -> np.ndarray:
    """Return values (B, ..., C) as rows (n, C); those of an output (B,) have one channel."""
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)


class Difference:
    """One output of a file against the Keras model's."""

    def __init__(self, name: str, moments: Moments, spread: np.ndarray) -> None:
        """Begin with no sample.

        Args:
            name: of the output.
            moments: of the Keras model's output in the scenario, by channel (C,).
            spread: what its differences are compared with, () or (C,), see `TaskSpec.spread`.
        """
        self._name, self._spread = name, spread
        # Four times the root mean square: a sum of large terms is rounded as they are, however small it is itself.
        self._least = np.maximum(4 * np.sqrt(moments.mean_square), 1.0)
        self._count, self._total, self._squares = 0, 0.0, np.zeros_like(moments.mean)
        self._largest = 0.0
        self._most_relative = np.zeros(1 + int(FEW * moments.count * moments.mean.size))
        """The largest relative differences, in no order: those that are left out, and one more."""
        self.not_finite = 0
        """Values that are NaN or infinite."""

    def add(self, expected: np.ndarray, outputs: Mapping[str, Any]) -> None:
        """Compare a batch.

        Args:
            expected: the Keras model's (B, ...).
            outputs: the file's, by name.

        Raises:
            ExportError: the output is missing or has another shape.
        """
        got = outputs.get(self._name)
        if got is None or np.shape(got) != expected.shape:
            found = f"only {sorted(outputs)}" if got is None else f"shape {np.shape(got)}"
            raise ExportError(f"expected the output {self._name!r} with shape {expected.shape}, got {found}")
        self.not_finite += int((~np.isfinite(got)).sum())
        if self.not_finite:
            return
        # In float64: the difference of two float32 numbers is rounded again otherwise.
        known = channels(np.asarray(expected, np.float64))
        difference = np.abs(channels(np.asarray(got, np.float64)) - known)
        self._count += len(difference)
        self._total += float(difference.sum())
        self._squares += (difference**2).sum(axis=0)
        self._largest = max(self._largest, float(difference.max()))
        relative = (difference / np.maximum(np.abs(known), self._least)).ravel()
        kept = len(self._most_relative)
        larger = np.concatenate([self._most_relative, relative[relative > self._most_relative.min()]])
        self._most_relative = np.partition(larger, len(larger) - kept)[-kept:]

    @property
    def mean(self) -> float:
        """Mean absolute difference; NaN where a value is not finite."""
        return float("nan") if self.not_finite else self._total / (self._count * self._squares.size)

    @property
    def result(self) -> OutputDifference:
        """What ``export.json`` says of it; NaN where a value is not finite."""
        if self.not_finite:
            return OutputDifference(*[float("nan")] * 4)
        noise = np.sqrt(self._squares / self._count) / self._spread
        return OutputDifference(
            max_abs=self._largest,
            relative=float(self._most_relative.max()),
            relative_most=float(self._most_relative.min()),
            noise=float(noise.max()),
        )
