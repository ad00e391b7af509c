"""Calibration by temperature, and answers that are withheld when the model is not sure enough.

Temperature and threshold come from the validation split; what they do is measured on the test split. Sources: Guo et
al., On Calibration of Modern Neural Networks, 2017 (arXiv:1706.04599); Geifman and El-Yaniv, Selective Classification
for Deep Neural Networks, 2017 (arXiv:1705.08500).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.evaluation.calibration import reliability

__all__ = ["fit_temperature", "risk_coverage", "selective", "sharpened", "threshold_for"]

_TEMPERATURES = np.geomspace(0.25, 8.0, 241)
_SMALLEST = 1e-7


def sharpened(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(log(p) / T) of probabilities (N, C): T above 1 makes them less sure, and no decision changes."""
    logits = np.log(np.clip(np.asarray(probabilities, np.float64), _SMALLEST, 1.0)) / temperature
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """Return the temperature between 0.25 and 8 with the lowest cross-entropy of the true classes (N,)."""
    rows = np.arange(len(truth))

    def loss(temperature: float) -> float:
        own = sharpened(probabilities, temperature)[rows, truth]
        return float(-np.average(np.log(np.clip(own, _SMALLEST, 1.0)), weights=weights))

    return float(min(_TEMPERATURES, key=loss))


def risk_coverage(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Return the share of wrong answers (risk) among the surest samples, for every share of them (coverage).

    Args:
        confidence: of each sample (N,).
        right: bool (N,).
        weights: of the samples (N,).

    Returns:
        ``coverage`` and ``risk``, one value for each distinct confidence from the highest on, and ``area``, the mean
        risk over all coverages.
    """
    order = np.argsort(-confidence, kind="stable")
    answered = np.cumsum(weights[order], dtype=np.float64)
    wrong = np.cumsum((weights * ~right)[order], dtype=np.float64)
    # Samples of equal confidence are answered together.
    last = np.append(np.diff(confidence[order]) != 0, True)
    coverage, risk = answered[last] / answered[-1], (wrong / answered)[last]
    area = float(np.average(risk, weights=np.diff(coverage, prepend=0.0)))
    return {"coverage": coverage.tolist(), "risk": risk.tolist(), "area": area}


def threshold_for(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, most_risk: float) -> float | None:
    """Return the lowest confidence at which the answers from there on are wrong at most by a share of ``most_risk``.

    None where no threshold reaches it.
    """
    found = risk_coverage(confidence, right, weights)
    steps = np.unique(confidence)[::-1]
    fits = [float(step) for step, risk in zip(steps, found["risk"], strict=True) if risk <= most_risk]
    return min(fits, default=None)


def selective(
    validation: tuple[np.ndarray, np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray, np.ndarray],
    most_risk: float,
) -> dict[str, Any]:
    """Calibrate on the validation split, and measure on the test split.

    Args:
        validation: probabilities (N, C), true classes (N,) and weights (N,).
        test: likewise.
        most_risk: share of wrong answers that is accepted among those that are given.

    Returns:
        ``selective`` of metrics.json.

    Raises:
        DataError: one of the splits has no samples.
    """
    for name, (_, truth, _) in (("validation", validation), ("test", test)):
        if not len(truth):
            raise DataError(f"calibration: the {name} split has no samples")
    probabilities, truth, weights = validation
    temperature = fit_temperature(probabilities, truth, weights)
    sure = sharpened(probabilities, temperature)
    threshold = threshold_for(sure.max(axis=1), sure.argmax(axis=1) == truth, weights, most_risk)
    probabilities, truth, weights = test
    sure = sharpened(probabilities, temperature)
    confidence, right = sure.max(axis=1), sure.argmax(axis=1) == truth
    answered = confidence >= (np.inf if threshold is None else threshold)
    given = float(weights[answered].sum())
    return {
        "temperature": temperature,
        "ece_before": reliability(probabilities.max(axis=1), right, weights)["ece"],
        "ece": reliability(confidence, right, weights)["ece"],
        "most_risk": most_risk,
        "threshold": threshold,
        "coverage": given / float(weights.sum()),
        "risk": float((weights * ~right)[answered].sum()) / given if given else None,
        "risk_of_all": float((weights * ~right).sum()) / float(weights.sum()),
        "curve": risk_coverage(confidence, right, weights),
    }
