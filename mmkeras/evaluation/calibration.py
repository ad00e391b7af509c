"""Calibration of confidences (Guo et al., On Calibration of Modern Neural Networks, 2017), and residuals of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import Evidence

__all__ = ["BINS", "calibration", "reliability"]

BINS = 15
_POINTS = 2000


def reliability(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray, bins: int = BINS) -> dict[str, Any]:
    """Compare confidence with accuracy in bins of equal width.

    Args:
        confidence: (N,) in [0, 1].
        correct: bool (N,).
        weights: sample weights (N,).
        bins: number of bins ``(low, high]``; the first one includes 0.

    Returns:
        ``{"ece", "mce", "bins": [{"low", "high", "samples", "confidence", "accuracy"}]}``: the weighted mean and the
        largest gap between confidence and accuracy. An empty bin has neither confidence nor accuracy.
    """
    place = np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
    totals = np.bincount(place, weights, bins)
    sure = np.bincount(place, weights * confidence, bins)
    right = np.bincount(place, weights * correct, bins)
    counts = np.bincount(place, minlength=bins)
    filled = totals > 0
    mean = np.divide(sure, totals, out=np.zeros(bins), where=filled)
    share = np.divide(right, totals, out=np.zeros(bins), where=filled)
    gaps = np.abs(mean - share)
    entries = [
        {
            "low": i / bins,
            "high": (i + 1) / bins,
            "samples": int(counts[i]),
            "confidence": float(mean[i]) if filled[i] else None,
            "accuracy": float(share[i]) if filled[i] else None,
        }
        for i in range(bins)
    ]
    ece = float((gaps * totals).sum() / totals.sum())
    return {"ece": ece, "mce": float(gaps.max()), "bins": entries}


def calibration(task: TaskSpec, evidence: Evidence, weights: np.ndarray) -> dict[str, Any] | None:
    """Return the calibration of a task from the evidence of N samples with weights (N,).

    With one label it is that of the chosen class's probability; with several labels, that of each label and their mean;
    for numbers, the weighted distribution of the residuals and a part of them to draw. ``None`` for other tasks.
    """
    if sure := task.confidences_of(evidence):
        columns = list(zip(sure.confidence.T, sure.right.T, strict=True))
        if sure.labels:
            labels = {name: reliability(*each, weights) for name, each in zip(sure.labels, columns, strict=True)}
            ece = float(np.mean([entry["ece"] for entry in labels.values()]))
            return {"kind": "per_label", "ece": ece, "labels": labels}
        mean, share = (float(np.average(each, weights=weights)) for each in columns[0])
        found = reliability(*columns[0], weights)
        return {"kind": "confidence", **found, "mean_confidence": mean, "mean_accuracy": share}
    if numbers := task.numbers_of(evidence):
        error = numbers.value - numbers.truth
        step = max(1, len(error) // _POINTS)
        return {
            "kind": "residuals",
            "numbers": {
                name: {
                    "unit": numbers.units[i] if numbers.units else "",
                    **_distribution(error[:, i], weights),
                    "truth": [float(x) for x in numbers.truth[::step, i]],
                    "residual": [float(x) for x in error[::step, i]],
                }
                for i, name in enumerate(numbers.names)
            },
        }
    return None


def _distribution(values: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Return weighted mean, standard deviation and quantiles of values (N,)."""
    mean = float(np.average(values, weights=weights))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order], dtype=np.float64)
    places = {q: np.searchsorted(reached, float(q) * reached[-1] * (1 - 1e-12)) for q in ("0.05", "0.5", "0.95")}
    return {
        "mean": mean,
        "standard_deviation": float(np.sqrt(np.average((values - mean) ** 2, weights=weights))),
        "quantiles": {q: float(values[order][place]) for q, place in places.items()},
    }
