"""Code for tasks with named classes: checks of options, labels as indices, class weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mmkeras.core.errors import ConfigError, DataError, nearest

__all__ = [
    "as_labels",
    "check_gamma",
    "check_share",
    "check_weights",
    "class_weights",
    "label_index",
    "ranked",
    "unknown_labels",
]


def as_labels(labels: Iterable[str], where: str) -> tuple[str, ...]:
    """Return labels as a tuple of distinct, non-empty strings.

    Raises:
        ConfigError: not a list of strings, an empty string or a repeated label.
    """
    if isinstance(labels, str) or not all(isinstance(label, str) and label for label in labels):
        raise ConfigError(f"{where}: expected a list of non-empty strings, got {labels!r}")
    result = tuple(labels)
    twice = sorted({label for label in result if result.count(label) > 1}) if len(set(result)) < len(result) else []
    if twice:
        raise ConfigError(f"{where}: expected distinct labels, but these are repeated: {', '.join(map(repr, twice))}")
    return result


def check_share(value: float, where: str) -> None:
    """Check that a value lies in [0, 1).

    Raises:
        ConfigError: it does not.
    """
    if not 0.0 <= value < 1.0:
        raise ConfigError(f"{where}: expected a number from 0 up to, but not including, 1; got {value!r}")


def check_gamma(value: float) -> None:
    """Check ``focal_gamma``, a focusing exponent: 0 (off) or at least 1.

    Below 1 the derivative of (1 - p) ** gamma is infinite at p = 1, and the gradient is NaN.

    Raises:
        ConfigError: negative or between 0 and 1.
    """
    if value != 0.0 and not 1.0 <= value < np.inf:
        raise ConfigError(f"focal_gamma: expected 0 (off) or a number of at least 1 (2 is common); got {value!r}")


def check_weights(weights: str | Mapping[str, float], labels: tuple[str, ...]) -> None:
    """Check the ``class_weights`` option against the labels (any label passes while they are unknown).

    Raises:
        ConfigError: unknown word, unknown label, or a weight that is not a finite number of at least 0.
    """
    if isinstance(weights, str):
        if weights not in ("none", "balanced"):
            raise ConfigError(
                f"class_weights: {weights!r} is not a weighting; {nearest(weights, ('none', 'balanced'))}"
            )
        return
    problems = unknown_labels(weights, labels, "class_weights") + [
        f"class_weights.{label}: expected a finite weight of at least 0, got {weight!r}"
        for label, weight in weights.items()
        if not 0.0 <= weight < np.inf
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def unknown_labels(given: Iterable[str], labels: tuple[str, ...], where: str) -> list[str]:
    """Return a problem for each name that is not a label; any name passes while no labels are known."""
    unknown = [name for name in given if labels and name not in labels]
    return [f"{where}: no label is called {name!r}; {nearest(name, labels)}" for name in unknown]


def label_index(value: Any, labels: tuple[str, ...]) -> int:
    """Return the position of a label, which is given as text, a whole number or a boolean.

    Raises:
        DataError: another type, an empty string, or not one of the labels.
    """
    if not isinstance(value, str | bool | int | np.bool_ | np.integer) or value == "":
        hint = ". Numbers are targets of the task regression" if isinstance(value, float) else ""
        kind = type(value).__name__
        raise DataError(f"Expected a label (text, whole number or boolean), got {value!r} ({kind}){hint}")
    text = str(value)
    try:
        return labels.index(text)
    except ValueError:
        raise DataError(f"No label is called {text!r}; {nearest(text, labels)}") from None


def class_weights(
    weights: str | Mapping[str, float], labels: tuple[str, ...], counts: Mapping[str, int] | None
) -> np.ndarray | None:
    """Return the weight of every class.

    ``balanced`` is ``sum(counts) / (classes * count)``: every class contributes equally to the loss. A class without
    training samples gets 1.

    Args:
        weights: the ``class_weights`` option.
        labels: the classes in order.
        counts: training samples by label; only ``balanced`` needs it.

    Returns:
        float32 (C,), or None for an unweighted loss.

    Raises:
        ConfigError: ``balanced`` without counts, or a weight for an unknown label.
    """
    check_weights(weights, labels)
    if not isinstance(weights, str):
        return np.array([weights.get(label, 1.0) for label in labels], np.float32)
    if weights == "none":
        return None
    if not counts:
        raise ConfigError("class_weights: 'balanced' needs the class counts of the training data, got none")
    count = np.array([counts.get(label, 0) for label in labels], np.float64)
    seen = count > 0
    balanced = np.ones(len(labels))
    balanced[seen] = count.sum() / (seen.sum() * count[seen])
    return balanced.astype(np.float32)


def ranked(probabilities: np.ndarray, labels: tuple[str, ...], top: int) -> list[dict[str, Any]]:
    """Return one sample's most probable labels, best first, as ``{"label", "confidence"}``, leaving out NaN."""
    # Plain Python: with few classes, as on a device, numpy's calls take ten times as long.
    values = probabilities.tolist()
    places: Any = range(len(values))
    if not math.isfinite(sum(values)):
        places = [i for i in places if math.isfinite(values[i])]
    best = sorted(places, key=values.__getitem__, reverse=True)[:top]
    return [{"label": labels[i], "confidence": values[i]} for i in best]
