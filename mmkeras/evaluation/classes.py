"""Metrics per class, label or predicted number, and the confusions between classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmkeras.evaluation.decompositions import Decomposition, class_counts
from mmkeras.evaluation.intervals import Bootstrap, Draws
from mmkeras.evaluation.slices import FEW_SAMPLES
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["class_scores", "confusion", "label_names", "per_class", "thresholds"]

TOP_CONFUSIONS = 20


def label_names(task: TaskSpec) -> tuple[str, ...]:
    """Return the names of a task's classes, labels or predicted numbers; positions where it has no names."""
    names = tuple(getattr(task, "labels", ()) or getattr(task, "names", ()))
    size = int(np.prod(task.outputs[0].shape, dtype=np.int64))
    return names if len(names) == size else tuple(str(i) for i in range(size))


def thresholds(task: TaskSpec) -> np.ndarray | float:
    """Return the decision threshold of each label."""
    given = getattr(task, "thresholds", None)
    return np.asarray(given, np.float32) if given else float(getattr(task, "threshold", 0.5))


def _decided(task: TaskSpec, targets: np.ndarray, outputs: Outputs) -> tuple[np.ndarray, np.ndarray] | None:
    """Return truth and decision as bool (N, C), or ``None`` for a task without classes."""
    if "probabilities" not in outputs:
        return None
    probabilities = outputs["probabilities"]
    if task.target.shape == ():
        classes = np.arange(probabilities.shape[1])
        return targets[:, None] == classes, probabilities.argmax(1)[:, None] == classes
    return targets > 0.5, probabilities >= thresholds(task)


def _column(counts: np.ndarray, top: Sequence[int], bottom: Sequence[int], factor: float = 1.0) -> Decomposition:
    """Return the share that some columns of counts (N, K) are of others."""

    def finish(sums: np.ndarray) -> np.ndarray:
        divisor = sums[:, list(bottom)].sum(1)
        share = np.full(len(sums), np.nan)
        np.divide(factor * sums[:, list(top)].sum(1), divisor, out=share, where=divisor > 0)
        return share

    return Decomposition(counts, finish, proportion=True, counted=np.asarray(counts[:, list(bottom)].any(1)))


def per_class(
    task: TaskSpec,
    targets: np.ndarray,
    outputs: Outputs,
    weights: np.ndarray,
    bootstrap: Bootstrap,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the metrics of every class or label, worst F1 first, or of every predicted number.

    Args:
        task: recognised by its outputs.
        targets: encoded targets (N, ...).
        outputs: model outputs (N, ...).
        weights: sample weights (N,).
        bootstrap: settings of the resampling.
        groups: number of each sample's group (N,); every sample is a group of its own when not given.

    Returns:
        ``{class: {metric: interval, "samples", "few"}}``, where samples are counted without their weights. A metric
        without a value (no prediction of that class) is null.
    """
    names = label_names(task)
    sides = _decided(task, targets, outputs)
    if sides is None:
        return _per_number(names, targets, outputs, weights, bootstrap, groups) if "value" in outputs else {}
    truth, decided = sides
    counts, size = class_counts(truth, decided), truth.shape[1]
    parts = {}
    for i in range(size):
        hits, predicted, actual = i, size + i, 2 * size + i
        parts[f"{i} precision"] = _column(counts, (hits,), (predicted,))
        parts[f"{i} recall"] = _column(counts, (hits,), (actual,))
        parts[f"{i} f1"] = _column(counts, (hits,), (predicted, actual), 2.0)
    found = _intervals(parts, weights, bootstrap, groups)
    result: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(names):
        samples = int(truth[:, i].sum())
        metrics = {metric: found[f"{i} {metric}"] for metric in ("precision", "recall", "f1")}
        result[name] = {**metrics, "samples": samples, "few": samples < FEW_SAMPLES}
    return dict(sorted(result.items(), key=lambda item: _value(item[1])))


def class_scores(task: TaskSpec, targets: np.ndarray, whole: Draws) -> dict[str, Any]:
    """Return the average precision of every class that a detection task scores apart, worst first.

    Args:
        task: one with ``classes_of``; others have no such scores.
        targets: encoded targets (N, ...).
        whole: scores on all samples, ``AP_<class>`` among them.

    Returns:
        ``{class: {"AP": interval, "samples", "few"}}``, where samples are objects.
    """
    if not hasattr(task, "classes_of"):
        return {}
    counts = Counter(name for target in targets for name in task.classes_of(target))
    result: dict[str, dict[str, Any]] = {
        name: {
            "AP": whole.interval(f"AP_{name}").to_json(),
            "samples": counts[name],
            "few": counts[name] < FEW_SAMPLES,
        }
        for name in getattr(task, "labels", ())
        if f"AP_{name}" in whole.values
    }
    values = {name: entry["AP"]["value"] for name, entry in result.items()}
    return dict(sorted(result.items(), key=lambda item: np.inf if values[item[0]] is None else values[item[0]]))


def _per_number(
    names: Sequence[str],
    targets: np.ndarray,
    outputs: Outputs,
    weights: np.ndarray,
    bootstrap: Bootstrap,
    groups: np.ndarray | None,
) -> dict[str, Any]:
    truth = targets.reshape(len(targets), -1).astype(np.float64)
    error = outputs["value"].reshape(truth.shape) - truth
    ones = np.ones(len(error))
    parts = {}
    for i in range(len(names)):
        sums = np.stack([np.abs(error[:, i]), error[:, i], error[:, i] ** 2, ones], 1).astype(np.float32)
        parts[f"{i} mae"] = Decomposition(sums, _share(0))
        parts[f"{i} bias"] = Decomposition(sums, _share(1))
        parts[f"{i} rmse"] = Decomposition(sums, lambda s: np.sqrt(s[:, 2] / s[:, 3]))
    found = _intervals(parts, weights, bootstrap, groups)
    samples = len(error)
    return {
        name: {
            **{metric: found[f"{i} {metric}"] for metric in ("mae", "bias", "rmse")},
            "samples": samples,
            "few": samples < FEW_SAMPLES,
        }
        for i, name in enumerate(names)
    }


def _share(column: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda sums: sums[:, column] / sums[:, -1]


def _intervals(
    parts: dict[str, Decomposition], weights: np.ndarray, bootstrap: Bootstrap, groups: np.ndarray | None
) -> dict[str, dict[str, Any]]:
    draws = bootstrap.decomposed(parts, weights, groups)
    return {name: interval.to_json() for name, interval in draws.intervals().items()}


def _value(entry: dict[str, Any]) -> float:
    value = entry["f1"]["value"]
    return float("inf") if value is None else float(value)


def confusion(task: TaskSpec, targets: np.ndarray, outputs: Outputs) -> dict[str, Any] | None:
    """Count what is taken for what: numbers of samples, without their weights.

    Returns:
        One label: ``{"labels", "matrix" [truth][predicted], "top": [{"truth", "predicted", "count",
        "share"}]}``. Several labels: ``{"labels", "per_label": {label: {"tp", "fp", "fn", "tn"}}}``.
        Otherwise ``None``.
    """
    sides = _decided(task, targets, outputs)
    if sides is None:
        return None
    truth, decided = sides
    names = list(label_names(task))
    if task.target.shape != ():
        cells = {
            "tp": truth & decided,
            "fp": ~truth & decided,
            "fn": truth & ~decided,
            "tn": ~truth & ~decided,
        }
        return {
            "labels": names,
            "per_label": {n: {cell: int(v[:, i].sum()) for cell, v in cells.items()} for i, n in enumerate(names)},
        }
    matrix = np.zeros((len(names), len(names)), np.int64)
    np.add.at(matrix, (truth.argmax(1), decided.argmax(1)), 1)
    wrong = matrix * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:TOP_CONFUSIONS]
    top = [
        {
            "truth": names[row],
            "predicted": names[column],
            "count": int(wrong[row, column]),
            "share": float(wrong[row, column] / matrix[row].sum()),
        }
        for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True)
        if wrong[row, column]
    ]
    return {"labels": names, "matrix": matrix.tolist(), "top": top}
