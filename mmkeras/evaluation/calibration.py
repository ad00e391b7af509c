"""Whether confidence means what it says (Guo et al., On Calibration of Modern Neural Networks, 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmkeras.evaluation.classes import label_names
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["BINS", "calibration", "reliability"]

BINS = 15
_POINTS = 2000


def reliability(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray, bins: int = BINS) -> dict[str, Any]:
    """Compare confidence with the share that is right, in bins of equal width.

    Args:
        confidence: (N,) in [0, 1].
        correct: bool (N,).
        weights: sample weights (N,).
        bins: number of bins; ``(low, high]`` with 0 in the first.

    Returns:
        ``{"ece", "mce", "bins": [{"low", "high", "samples", "confidence", "accuracy"}]}``: the weighted mean
        and the largest gap between confidence and accuracy; empty bins have null instead of the two.
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


def calibration(task: TaskSpec, targets: np.ndarray, outputs: Outputs, weights: np.ndarray) -> dict[str, Any] | None:
    """Return the calibration of a task.

    One label: of the chosen class's probability. Several labels: of each label's probability, with their
    mean. Numbers: the weighted distribution of the residuals and a sample of them to draw. ``None`` for other tasks.

    Args:
        task: recognised by its outputs.
        targets: encoded targets (N, ...).
        outputs: model outputs (N, ...).
        weights: sample weights (N,).
    """
    if "probabilities" in outputs and task.target.shape == ():
        probabilities = outputs["probabilities"]
        found = reliability(probabilities.max(1), probabilities.argmax(1) == targets, weights)
        mean = float(np.average(probabilities.max(1), weights=weights))
        share = float(np.average(probabilities.argmax(1) == targets, weights=weights))
        return {"kind": "confidence", **found, "mean_confidence": mean, "mean_accuracy": share}
    if "probabilities" in outputs:
        pairs = zip(label_names(task), outputs["probabilities"].T, (targets > 0.5).T, strict=True)
        labels = {name: reliability(p, t, weights) for name, p, t in pairs}
        ece = float(np.mean([entry["ece"] for entry in labels.values()]))
        return {"kind": "per_label", "ece": ece, "labels": labels}
    if "value" in outputs:
        truth = targets.reshape(len(targets), -1).astype(np.float64)
        error = outputs["value"].reshape(truth.shape) - truth
        units = getattr(task, "units", ())
        step = max(1, len(error) // _POINTS)
        return {
            "kind": "residuals",
            "numbers": {
                name: {
                    "unit": units[i] if units else "",
                    **_distribution(error[:, i], weights),
                    "truth": [float(x) for x in truth[::step, i]],
                    "residual": [float(x) for x in error[::step, i]],
                }
                for i, name in enumerate(label_names(task))
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
