"""Metrics per class, label or predicted number, and the confusions between classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmkeras.evaluation.intervals import Bootstrap, Draws
from mmkeras.evaluation.slices import FEW_SAMPLES
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import Evidence
from mmkeras.tasks._metrics import class_counts, f1, ratio

__all__ = ["class_scores", "confusion", "per_class"]

TOP_CONFUSIONS = 20


def per_class(
    task: TaskSpec, evidence: Evidence, weights: np.ndarray, bootstrap: Bootstrap, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """Return the metrics of every class or label, worst F1 first, or of every predicted number.

    Args:
        task: without labels and numbers, the result is empty.
        evidence: of N samples.
        weights: sample weights (N,).
        bootstrap: settings of the resampling.
        groups: number of each sample's group (N,); by default every sample is a group of its own.

    Returns:
        ``{class: {metric: interval, "samples", "few"}}``, where samples are counted without their weights. A metric
        that is not defined (such as the precision of a class that is never predicted) is null.
    """
    if decisions := task.decisions_of(evidence):
        truth, decided = decisions.truth, decisions.decided
        divisors = {"precision": decided, "recall": truth, "f1": truth | decided}
        counted = {
            f"{i} {metric}": side[:, i] for i in range(len(decisions.labels)) for metric, side in divisors.items()
        }
        counts = {"counts": class_counts(truth, decided)}
        result = _entries(
            decisions.labels, truth.sum(axis=0), bootstrap.summed(counts, _of_counts, weights, groups, counted)
        )
        return dict(sorted(result.items(), key=lambda item: _value(item[1]["f1"])))
    if numbers := task.numbers_of(evidence):
        error = numbers.value - numbers.truth
        rows = {"error": np.stack([np.abs(error), error, error**2], axis=1), "total": np.ones((len(error), 1))}
        samples = np.full(len(numbers.names), len(error))
        return _entries(numbers.names, samples, bootstrap.summed(rows, _of_errors, weights, groups))
    return {}


def _of_counts(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    hit, predicted, actual = np.moveaxis(sums["counts"], 1, 0)
    found = {"precision": ratio(hit, predicted), "recall": ratio(hit, actual), "f1": f1(hit, predicted, actual)}
    return {f"{i} {metric}": value[:, i] for i in range(hit.shape[1]) for metric, value in found.items()}


def _of_errors(sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    absolute, signed, squares = np.moveaxis(sums["error"], 1, 0) / sums["total"]
    found = {"mae": absolute, "bias": signed, "rmse": np.sqrt(squares)}
    return {f"{i} {metric}": value[:, i] for i in range(absolute.shape[1]) for metric, value in found.items()}


def _entries(names: tuple[str, ...], samples: np.ndarray, draws: Draws) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for key, interval in draws.intervals().items():
        place, _, metric = key.partition(" ")
        result.setdefault(names[int(place)], {})[metric] = interval.to_json()
    for name, count in zip(names, samples.tolist(), strict=True):
        result[name] |= {"samples": count, "few": count < FEW_SAMPLES}
    return result


def class_scores(task: TaskSpec, targets: np.ndarray, whole: Draws) -> dict[str, Any]:
    """Return the metric of every class that has its own (`TaskSpec.class_metrics`), worst first.

    Args:
        task: the task.
        targets: encoded targets (N, ...).
        whole: scores on all samples.

    Returns:
        ``{class: {"AP": interval, "samples", "few"}}`` for ``AP_<class>``, where samples are objects.
    """
    names = {label: metric for label, metric in task.class_metrics().items() if metric in whole.values}
    counts = Counter(label for target in targets for label in task.classes_of(target)) if names else Counter()
    result: dict[str, dict[str, Any]] = {
        label: {
            metric.removesuffix(f"_{label}"): whole.interval(metric).to_json(),
            "samples": counts[label],
            "few": counts[label] < FEW_SAMPLES,
        }
        for label, metric in names.items()
    }
    return dict(sorted(result.items(), key=lambda item: _value(next(iter(item[1].values())))))


def _value(interval: dict[str, Any]) -> float:
    value = interval["value"]
    return float("inf") if value is None else float(value)


def confusion(task: TaskSpec, evidence: Evidence) -> dict[str, Any] | None:
    """Return the confusions between labels as numbers of samples, without their weights.

    Returns:
        One label: ``{"labels", "matrix" [truth][predicted], "top": [{"truth", "predicted", "count", "share"}]}``.
        Several labels: ``{"labels", "per_label": {label: {"tp", "fp", "fn", "tn"}}}``. ``None`` without labels.
    """
    decisions = task.decisions_of(evidence)
    if decisions is None:
        return None
    truth, decided, names = decisions.truth, decisions.decided, list(decisions.labels)
    if not decisions.exclusive:
        cells = {"tp": truth & decided, "fp": ~truth & decided, "fn": truth & ~decided, "tn": ~truth & ~decided}
        return {
            "labels": names,
            "per_label": {n: {cell: int(v[:, i].sum()) for cell, v in cells.items()} for i, n in enumerate(names)},
        }
    matrix = truth.T.astype(np.int64) @ decided.astype(np.int64)
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
