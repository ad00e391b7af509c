"""Numbers: options, decisions, targets and metrics."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities import NO_FACTS, NO_MODALITIES, Facts, ModalitySpec, TensorSpec
from mmkeras.modalities._moves import MOVES
from mmkeras.tasks._config import TaskConfig
from mmkeras.tasks._contract import Outputs, TaskSpec
from mmkeras.tasks._evidence import Evidence, Numbers
from mmkeras.tasks._labels import as_labels, check_share
from mmkeras.tasks._metrics import r2, ratio
from mmkeras.tasks._moments import Moments, moments
from mmkeras.tasks._targets import TargetSpec

__all__ = ["Config", "Spec"]


@dataclass(frozen=True)
class Config(TaskConfig):
    """Options of the regression task."""

    names: tuple[str, ...] = ("value",)
    """Names of the predicted numbers, in the order of the target."""
    units: tuple[str, ...] = ()
    """Unit of each number, shown with answers; empty without units."""
    loss: Literal["mse", "huber", "mae"] = "huber"
    """Squared error, absolute error, or squared up to one standard deviation and absolute beyond."""
    tolerance: float = 0.05
    """Largest difference of numbers that agree, as a share of the standard deviation."""
    mean: tuple[float, ...] = ()
    """Mean of each number over the training samples; empty takes it from the data."""
    std: tuple[float, ...] = ()
    """Standard deviation of each number over the training samples; empty takes it from the data."""
    dropout: float = 0.0
    """Share of the fused vector dropped before the last layer in training."""

    def __post_init__(self) -> None:
        for field in ("names", "units", "mean", "std"):
            if isinstance(getattr(self, field), list):
                object.__setattr__(self, field, tuple(getattr(self, field)))
        as_labels(self.names, "names")
        check_share(self.dropout, "dropout")
        problems = [] if self.names else ["names: expected at least one number to predict, got none"]
        problems += [
            f"{field}: expected {len(self.names)} values, one for each name, or none; got {len(getattr(self, field))}"
            for field in ("units", "mean", "std")
            if len(getattr(self, field)) not in (0, len(self.names))
        ]
        if bool(self.mean) != bool(self.std):
            problems.append("mean and std: expected both, or neither to take them from the data, got one of them")
        if not np.isfinite(self.mean).all():
            problems.append(f"mean: expected finite numbers, got {self.mean}")
        if not all(0 < std < np.inf for std in self.std):
            problems.append(f"std: expected finite numbers above 0, got {self.std}")
        if not 0 < self.tolerance < np.inf:
            problems.append(f"tolerance: expected a share above 0, got {self.tolerance}")
        if self.loss not in ("mse", "huber", "mae"):
            problems.append(f"loss: expected 'mse', 'huber' or 'mae', got {self.loss!r}")
        if problems:
            raise ConfigError("\n".join(problems))

    def completed(self, facts: Facts) -> Config:
        """Return this configuration with mean and standard deviation of the training targets, unless it has them.

        Raises:
            ConfigError: a number that is the same in every sample, or targets of another size.
        """
        if self.mean or facts.targets is None:
            return self
        count, mean, std = moments(facts.targets())
        if mean.shape != (len(self.names),):
            got = (count, *mean.shape)
            raise ConfigError(f"Expected training targets (N, {len(self.names)}) for {self.names}, got {got}")
        if constant := [name for name, value in zip(self.names, std, strict=True) if not value > 0]:
            raise ConfigError(
                f"There is nothing to learn: {', '.join(constant)} has the same value in all {count} training "
                "samples. Check the column, or leave it out of names"
            )
        return dataclasses.replace(self, mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    def spec(self, modalities: Mapping[str, ModalitySpec] = NO_MODALITIES, facts: Facts = NO_FACTS) -> Spec:
        """Return the task's spec; mean 0 and standard deviation 1 where neither options nor facts give them."""
        own = self.completed(facts)
        count = len(self.names)
        return Spec(self.names, self.units, own.mean or (0.0,) * count, own.std or (1.0,) * count, self.tolerance)


@dataclass(frozen=True)
class Spec(TaskSpec):
    """K numbers in their own units, from the output ``value`` (B, K).

    The primary metric is the mean absolute error as a share of the standard deviation of the training targets, averaged
    over the numbers: it has no unit, so metres and kilograms weigh the same. The error in units is reported too.
    """

    kind: ClassVar[str] = "regression"
    shapes_records: ClassVar[tuple[str, ...]] = ("names",)
    follows: ClassVar[tuple[str, ...]] = MOVES
    metric: ClassVar[str] = "relative_mae"
    metric_sign: ClassVar[int] = -1
    gated_by: ClassVar[Literal["decisions", "tolerance", "metric"]] = "tolerance"

    names: tuple[str, ...]
    """Names of the numbers."""
    units: tuple[str, ...]
    """Unit of each number; empty without units."""
    mean: tuple[float, ...]
    """Mean of each number over the training samples."""
    std: tuple[float, ...]
    """Standard deviation of each number over the training samples."""
    tolerance: float
    """Largest difference of numbers that agree, as a share of the standard deviation."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """``value`` (K,) float32."""
        return (TensorSpec("value", (len(self.names),), "float32"),)

    @property
    def target(self) -> TargetSpec:
        """``target`` (K,) float32."""
        return TargetSpec("target", (len(self.names),), "float32")

    def encode(self, target: Any) -> np.ndarray:
        """Return a number, a list of K numbers or a dict by name as float32 (K,). Text that is a number is accepted.

        Raises:
            DataError: not K finite numbers.
        """
        if isinstance(target, dict):
            if set(target) != set(self.names):
                raise DataError(f"Expected the numbers {list(self.names)}, got {list(target)}")
            target = [target[name] for name in self.names]
        given: Sequence[Any] = list(target) if isinstance(target, list | tuple | np.ndarray) else [target]
        if len(given) != len(self.names):
            raise DataError(f"Expected {len(self.names)} numbers ({', '.join(self.names)}), got {len(given)}")
        try:
            if any(isinstance(value, bool | np.bool_) for value in given):
                raise TypeError
            encoded = np.array([float(value) for value in given])
        except (TypeError, ValueError, OverflowError):
            raise DataError(f"Expected numbers, got {target!r} ({type(target).__name__})") from None
        if not (np.abs(encoded) <= np.finfo(np.float32).max).all():
            raise DataError(f"Expected finite numbers within float32, got {target!r}")
        return encoded.astype(np.float32)

    def decode(self, outputs: Outputs) -> list[dict[str, Any]]:
        """Return ``{"value": {name: number}}`` per sample, with ``"units": {name: unit}`` if the spec has units.

        A number that is not finite becomes None.
        """
        units = {"units": dict(zip(self.names, self.units, strict=True))} if self.units else {}
        return [
            {"value": {n: float(v) if np.isfinite(v) else None for n, v in zip(self.names, row, strict=True)}, **units}
            for row in np.asarray(outputs["value"], np.float64)
        ]

    def spread(self, moments: Mapping[str, Moments]) -> dict[str, np.ndarray]:
        """Return the standard deviation of each number over the training samples, float64 (K,)."""
        return {"value": np.asarray(self.std, np.float64)}

    def flips(self, reference: Outputs, candidate: Outputs) -> np.ndarray:
        """Return bool (B,): a number differs by more than the tolerance, or is not finite in a model."""
        first, second = (np.asarray(each["value"], np.float64) for each in (reference, candidate))
        known = np.isfinite(first) & np.isfinite(second)
        difference = np.abs(np.where(known, first, 0.0) - np.where(known, second, 0.0))
        return ~np.all(known & (difference <= self.tolerance * np.asarray(self.std)), axis=-1)

    def evidence(self, targets: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        """Return ``truth`` and ``value``, float64 (B, K); a value that is not finite makes the metrics NaN."""
        truth = np.asarray(targets, np.float64).reshape(-1, len(self.names))
        value = np.asarray(outputs["value"], np.float64).reshape(truth.shape)
        return {"truth": truth, "value": np.where(np.isfinite(value), value, np.nan)}

    def sums(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Return absolute and squared errors, the targets minus their mean, the squares of these, and 1."""
        truth = evidence["truth"]
        error, centred = truth - evidence["value"], truth - truth.mean(axis=0)
        return {
            "absolute": np.abs(error),
            "squares": error**2,
            "first": centred,
            "second": centred**2,
            "total": np.ones((len(truth), 1)),
        }

    def of_sums(self, sums: Evidence) -> dict[str, np.ndarray]:
        """Return relative MAE, MAE, RMSE and R2, averaged over the numbers, and ``mae_<name>`` when there are several.

        RMSE and R2 are means over the numbers, as in scikit-learn.
        """
        total = sums["total"]
        mae = ratio(sums["absolute"], total)
        several = self.names if len(self.names) > 1 else ()
        return {
            "relative_mae": (mae / np.asarray(self.std)).mean(axis=1),
            "mae": mae.mean(axis=1),
            "rmse": np.sqrt(ratio(sums["squares"], total)).mean(axis=1),
            "r2": r2(sums["squares"], sums["first"], sums["second"], total).mean(axis=1),
            **{f"mae_{name}": mae[:, i] for i, name in enumerate(several)},
        }

    def numbers_of(self, evidence: Evidence) -> Numbers:
        """Return the predicted numbers."""
        return Numbers(self.names, self.units, evidence["truth"], evidence["value"])

    def constant_outputs(self, targets: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the mean of each number."""
        mean = np.average(targets.astype(np.float64), 0, weights).astype(np.float32)
        return {"value": np.tile(mean, (len(targets), 1))}
