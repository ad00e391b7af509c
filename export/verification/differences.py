"""Differences of a file's outputs to the Keras model's, batch by batch: only sums, maxima and evidence are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.verification.results import OutputDifference
from mmkeras.core.errors import ExportError
from mmkeras.tasks._moments import Moments

__all__ = ["LEFT_OUT", "Difference", "Reduced", "channels"]

LEFT_OUT = 1e-5
"""Share of an output's values that `OutputDifference.relative_most` leaves out."""


@dataclass(frozen=True)
class Reduced:
    """A file's outputs on N samples, reduced."""

    evidence: dict[str, np.ndarray]
    """The task's evidence."""
    flips: np.ndarray
    """bool (N,): changed decisions."""
    close: np.ndarray
    """bool (N,): changed decisions that were near ties of the Keras model."""
    differences: dict[str, Difference]
    """Difference of each output by name."""


def channels(values: np.ndarray) -> np.ndarray:
    """Return values (B, ..., C) as rows (n, C); those of an output (B,) have one channel."""
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)


class Difference:
    """One output of a file against the Keras model's, accumulated over batches."""

    def __init__(self, name: str, moments: Moments, spread: np.ndarray) -> None:
        """Start without samples.

        Args:
            name: name of the output.
            moments: moments of the Keras model's output in the scenario, by channel (C,).
            spread: scale of the noise, () or (C,), see `TaskSpec.spread`.
        """
        self._name, self._spread = name, spread
        # Four times the root mean square: a small sum of large terms has the rounding error of these terms.
        self._least = np.maximum(4 * np.sqrt(moments.mean_square), 1.0)
        self._count, self._total, self._squares = 0, 0.0, np.zeros_like(moments.mean)
        self._largest = 0.0
        self._most_relative = np.zeros(1 + int(LEFT_OUT * moments.count * moments.mean.size))
        """The largest relative differences, unordered: those that ``relative_most`` leaves out, and one more."""
        self.not_finite = 0
        """Values that are NaN or infinite."""

    def add(self, expected: np.ndarray, outputs: Mapping[str, Any]) -> None:
        """Compare a batch: the Keras model's output (B, ...) with the file's outputs by name.

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
        # In float64: in float32 the difference itself would be rounded.
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
        """The entry of ``export.json``; NaN where a value is not finite."""
        if self.not_finite:
            return OutputDifference(*[float("nan")] * 4)
        noise = np.sqrt(self._squares / self._count) / self._spread
        return OutputDifference(
            max_abs_diff=self._largest,
            relative=float(self._most_relative.max()),
            relative_most=float(self._most_relative.min()),
            noise=float(noise.max()),
        )
