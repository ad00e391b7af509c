"""Metrics written as functions of sums over samples, so that thousands of resamples are one matrix product.

A resample of a test set only changes how often each sample counts. A metric that needs nothing but weighted
sums of per-sample contributions (accuracy, F1 from counts, mean absolute error, R2, calibration error) is
therefore ``finish(weights @ contributions)`` for all resamples at once. A decomposition is only used where
it gives the number that the task itself gives (`matching`); every other metric takes the slow road through
``TaskSpec.score``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks._metrics import RankedPrecision

__all__ = ["Decomposition", "class_counts", "decompositions", "matching", "reweighted"]

Finish = Callable[[np.ndarray], np.ndarray]
Reweighted = Callable[[np.ndarray], np.ndarray]
"""Weights (R, N) -> metric (R,)."""


@dataclass(frozen=True)
class Decomposition:
    """One metric as ``finish(weights @ contributions)``."""

    contributions: np.ndarray
    """float32 (N, K): what each sample adds to each of K sums."""
    finish: Finish
    """Sums (R, K) -> metric (R,)."""
    proportion: bool = False
    """The metric is a share of samples."""
    counted: np.ndarray | None = None
    """(N,) how much each sample counts in the divisor, for example where its class is present; all alike if None."""

    def point(self, weights: np.ndarray) -> float:
        """Return the metric under one weighting (N,), in float64."""
        sums = np.asarray(weights, np.float64) @ self.contributions.astype(np.float64)
        return float(self.finish(sums[None])[0])


def _ratio(top: np.ndarray, bottom: np.ndarray, empty: float = 0.0) -> np.ndarray:
    """Divide where the divisor is positive, ``empty`` elsewhere."""
    return np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, empty), where=bottom > 0)


def _mean(values: np.ndarray, proportion: bool = False) -> Decomposition:
    """Return the weighted mean of one number per sample."""
    stacked = np.stack([values.astype(np.float32), np.ones(len(values), np.float32)], 1)
    return Decomposition(stacked, lambda sums: _ratio(sums[:, 0], sums[:, 1]), proportion)


def _root_mean(values: np.ndarray) -> Decomposition:
    base = _mean(values)
    return Decomposition(base.contributions, lambda sums: np.sqrt(base.finish(sums)))


def _of_counts(counts: np.ndarray, finish: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Decomposition:
    """Build on true positives, predicted and actual counts: (N, 3 C) -> three (R, C)."""

    def split(sums: np.ndarray) -> np.ndarray:
        hits, predicted, actual = np.split(sums, 3, axis=1)
        return finish(hits, predicted, actual)

    return Decomposition(counts, split)


def _f1(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    return _ratio(2 * hits, predicted + actual)


def _macro_f1(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    return _f1(hits, predicted, actual).mean(1)


def _macro_f1_of_present(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    present = predicted + actual > 0
    return _ratio(np.where(present, _f1(hits, predicted, actual), 0).sum(1), present.sum(1))


def _balanced_accuracy(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    del predicted
    present = actual > 0
    return _ratio(np.where(present, _ratio(hits, actual), 0).sum(1), present.sum(1))


def _micro_f1(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    return _f1(hits.sum(1), predicted.sum(1), actual.sum(1))


def class_counts(truth: np.ndarray, decided: np.ndarray) -> np.ndarray:
    """Stack true positives, predicted and actual indicators.

    Args:
        truth: bool (N, C).
        decided: bool (N, C).

    Returns:
        float32 (N, 3 C).
    """
    return np.concatenate([truth & decided, decided, truth], axis=1).astype(np.float32)


def _classification(targets: np.ndarray, probabilities: np.ndarray) -> dict[str, list[Decomposition]]:
    classes = np.arange(probabilities.shape[1])
    decided = probabilities.argmax(1)
    counts = class_counts(targets[:, None] == classes, decided[:, None] == classes)
    chosen = np.take_along_axis(probabilities, targets[:, None].astype(np.int64), 1)[:, 0].astype(np.float64)
    negative_log = [-np.log(np.clip(chosen, floor, 1.0)) for floor in (1e-7, 1e-12, np.finfo(np.float32).eps)]
    rank = (probabilities > chosen[:, None].astype(probabilities.dtype)).sum(1)
    f1 = [_of_counts(counts, _macro_f1_of_present), _of_counts(counts, _macro_f1)]
    return {
        "accuracy": [_mean(decided == targets, proportion=True)],
        "balanced_accuracy": [_of_counts(counts, _balanced_accuracy)],
        "macro_f1": f1,
        "f1": f1,
        "log_loss": [_mean(values) for values in negative_log],
        "cross_entropy": [_mean(values) for values in negative_log],
        **{f"top_{k}_accuracy": [_mean(rank < k, proportion=True)] for k in (2, 3, 5)},
    }


def _multilabel(
    targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray
) -> dict[str, list[Decomposition]]:
    truth = targets > 0.5
    candidates: dict[str, list[Decomposition]] = {}
    for decided in (probabilities >= thresholds, probabilities > thresholds):
        counts = class_counts(truth, decided)
        agree = truth == decided
        for name, parts in {
            "macro_f1": [_of_counts(counts, _macro_f1_of_present), _of_counts(counts, _macro_f1)],
            "micro_f1": [replace(_of_counts(counts, _micro_f1), counted=np.asarray((decided | truth).any(1)))],
            "exact_match": [_mean(agree.all(1), proportion=True)],
            "subset_accuracy": [_mean(agree.all(1), proportion=True)],
            "accuracy": [_mean(agree.mean(1)), _mean(agree.all(1), proportion=True)],
            "label_accuracy": [_mean(agree.mean(1))],
            "hamming_loss": [_mean(1 - agree.mean(1))],
        }.items():
            candidates.setdefault(name, []).extend(parts)
    return candidates


def _regression(
    targets: np.ndarray, values: np.ndarray, names: Sequence[str], std: Sequence[float]
) -> dict[str, list[Decomposition]]:
    # Squares of the centred values: R2 from raw squares would lose its digits in float32.
    centred = targets.astype(np.float64) - targets.mean(0, dtype=np.float64)
    error = targets.astype(np.float64) - values
    width = targets.shape[1]
    ones = np.ones((len(targets), 1))
    stacked = np.concatenate([error**2, centred, centred**2, ones], 1).astype(np.float32)

    def r2(sums: np.ndarray) -> np.ndarray:
        squares, first, second, total = np.split(sums, [width, 2 * width, 3 * width], axis=1)
        return 1 - _ratio(squares, second - first**2 / np.maximum(total, 1e-12), empty=1.0)

    return {
        "mae": [_mean(np.abs(error).mean(1))],
        "relative_mae": [_mean((np.abs(error) / np.asarray(std or 1.0)).mean(1))],
        **{f"mae_{name}": [_mean(np.abs(error[:, i]))] for i, name in enumerate(names)},
        "mse": [_mean((error**2).mean(1))],
        "rmse": [_rmse_per_target(error), _root_mean((error**2).mean(1))],
        "r2": [Decomposition(stacked, lambda sums: r2(sums).mean(1))],
    }


def _rmse_per_target(error: np.ndarray) -> Decomposition:
    stacked = np.concatenate([error**2, np.ones((len(error), 1))], 1).astype(np.float32)
    return Decomposition(stacked, lambda sums: np.sqrt(_ratio(sums[:, :-1], sums[:, -1:])).mean(1))


def decompositions(task: TaskSpec, targets: np.ndarray, outputs: Outputs) -> dict[str, list[Decomposition]]:
    """Return the known ways to write each metric of a task; none for a task with other outputs.

    Args:
        task: recognised by its outputs, not by its name.
        targets: encoded targets (N, ...).
        outputs: model outputs (N, ...) by name.
    """
    if "probabilities" in outputs and task.target.shape == ():
        return _classification(targets, outputs["probabilities"])
    if "probabilities" in outputs:
        thresholds = np.asarray(getattr(task, "thresholds", None) or getattr(task, "threshold", 0.5), np.float32)
        return _multilabel(targets, outputs["probabilities"], thresholds)
    if "value" in outputs:
        truth = targets.reshape(len(targets), -1)
        values = outputs["value"].reshape(truth.shape)
        return _regression(truth, values, getattr(task, "names", ()), getattr(task, "std", ()))
    return {}


def reweighted(task: TaskSpec, targets: np.ndarray, outputs: Outputs) -> dict[str, Reweighted]:
    """Return the metrics that need the ranking of all samples, and so have no decomposition, as functions of weights.

    Args:
        task: recognised by its outputs, not by its name.
        targets: encoded targets (N, ...).
        outputs: model outputs (N, ...) by name.
    """
    if "probabilities" in outputs and task.target.shape != ():
        return {"mean_average_precision": RankedPrecision(targets > 0.5, outputs["probabilities"])}
    return {}


def matching(
    candidates: Mapping[str, list[Decomposition]], scores: Mapping[str, float], weights: np.ndarray
) -> dict[str, Decomposition]:
    """Keep the decompositions that give the task's own numbers.

    Args:
        candidates: from `decompositions`.
        scores: what ``TaskSpec.score`` gave on the same samples.
        weights: sample weights (N,).
    """
    found = {}
    for name, value in scores.items():
        for candidate in candidates.get(name, ()):
            if np.isclose(candidate.point(weights), value, rtol=1e-4, atol=1e-6, equal_nan=True):
                found[name] = candidate
                break
    return found
