"""Measurements of one exported file in one modality scenario: outputs, decisions, the metric, slices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

__all__ = ["OutputDifference", "ScenarioResult", "SliceResult", "finite", "max_or_nan"]


@dataclass(frozen=True)
class SliceResult:
    """One file against the Keras model on the samples with one value of a column."""

    name: str
    """Column and value: ``weather = night``."""
    samples: int
    """Samples in the slice."""
    flips: int
    """Flipped decisions in the slice."""
    metric: float
    """The task's metric of the file."""
    metric_change: float
    """That metric minus the Keras model's."""
    metric_error: float = 0.0
    """Standard error of ``metric_change``, from resampled groups of samples."""


@dataclass(frozen=True)
class OutputDifference:
    """One output of a file against the Keras model's, over all samples of a scenario."""

    max_abs_diff: float
    """Largest absolute difference, in the output's unit; NaN where a value is not finite."""
    relative: float
    """Largest difference as a share of the largest of 1, the value and 4 times its channel's root mean square."""
    relative_most: float
    """The same without the largest one in 100,000; equal to ``relative`` below 100,000 values."""
    noise: float
    """Root mean square difference as a share of the output's spread in the scenario ``all``, see `TaskSpec.spread`."""


@dataclass(frozen=True)
class ScenarioResult:
    """One file against the Keras model in one modality scenario, on the same samples."""

    samples: int
    """Samples compared."""
    max_abs_diff: float
    """Largest absolute difference of any output; NaN where an output is not finite."""
    mean_abs_diff: float
    """Mean absolute difference over all outputs; NaN where an output is not finite."""
    flipped: tuple[str, ...]
    """Keys of the samples on which the decision differs."""
    metric: float
    """The task's metric of the file."""
    metric_change: float
    """That metric minus the Keras model's."""
    close: int = 0
    """Flipped decisions that were near ties of the Keras model: its margin was at most `verify.CLOSE`."""
    held_change: float | None = None
    """``metric_change`` without near ties, for the gate outside ``all``; None where it is the same."""
    not_finite: int = 0
    """Output values that are NaN or infinite."""
    outputs: dict[str, OutputDifference] = field(default_factory=dict)
    """By output, because each has its own unit."""
    metric_error: float | None = None
    """Standard error of ``held``, from resampled groups of samples; None where it was not computed."""
    calibration_change: float | None = None
    """Expected calibration error of the file minus the Keras model's; None where the task has no confidences."""
    slices: tuple[SliceResult, ...] = ()
    """In the scenario ``all``, the slices of the data, the largest loss first."""

    @property
    def flips(self) -> int:
        """Number of flipped decisions."""
        return len(self.flipped)

    @property
    def held(self) -> float:
        """The change of the metric that the gate limits."""
        return self.metric_change if self.held_change is None else self.held_change

    def to_json(self) -> dict[str, Any]:
        """Return the entry in ``export.json``; numbers that are not finite become null."""
        whole = {
            "samples": self.samples,
            "max_abs_diff": self.max_abs_diff,
            "mean_abs_diff": self.mean_abs_diff,
            "flips": self.flips,
            "flipped": list(self.flipped),
            "close": self.close,
            "metric": self.metric,
            "metric_change": self.metric_change,
            "held_change": self.held,
            "metric_error": self.metric_error,
            "calibration_change": self.calibration_change,
            "outputs": {name: finite(asdict(difference)) for name, difference in self.outputs.items()},
        }
        return finite(whole) | ({"worst_slice": finite(asdict(self.slices[0]))} if self.slices else {})


def max_or_nan(values: list[float]) -> float:
    """Return the largest value; NaN where one is NaN or there are none (``max`` would skip NaN)."""
    return float(np.max(values)) if values else math.nan


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for JSON: every float that is NaN or infinite becomes None."""
    return {
        name: (float(value) if math.isfinite(value) else None) if isinstance(value, float | np.floating) else value
        for name, value in values.items()
    }
