"""Faults behind the model: its outputs are changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.mutants.kind import BOTH, Arrays, Kind, Scene, Signal

__all__ = ["KINDS"]

NAME = "probabilities"
Change = Callable[[np.ndarray, Scene], np.ndarray]


def _on(change: Change) -> Signal:
    def outputs(arrays: Arrays, scene: Scene) -> Arrays:
        return {**arrays, NAME: change(np.array(arrays[NAME]), scene).astype(arrays[NAME].dtype)}

    return Signal(outputs=outputs)


def _normalised(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / values.sum(-1, keepdims=True))


def _swapped(first: str, second: str) -> Change:
    def change(values: np.ndarray, scene: Scene) -> np.ndarray:
        a, b = scene.labels.index(first), scene.labels.index(second)
        values[:, [a, b]] = values[:, [b, a]]
        return values

    return change


def _without(modality: str, change: Change) -> Change:
    def only(values: np.ndarray, scene: Scene) -> np.ndarray:
        absent = scene.given[f"{modality}_present"] == 0
        return np.where(absent[:, None], change(np.array(values), scene), values)

    return only


def _dead(label: str) -> Change:
    def change(values: np.ndarray, scene: Scene) -> np.ndarray:
        values[:, scene.labels.index(label)] = 0
        return _normalised(values + 1e-7)

    return change


def _nan(values: np.ndarray, scene: Scene) -> np.ndarray:
    values[:, scene.labels.index("triangle")] = np.nan
    return values


def _nan_where_chosen(values: np.ndarray, scene: Scene) -> np.ndarray:
    row = scene.labels.index("triangle")
    values[values.argmax(-1) == row, row] = np.nan
    return values


def _temperature(temperature: float) -> Change:
    def change(values: np.ndarray, scene: Scene) -> np.ndarray:
        return _normalised(np.maximum(np.float64(values), 1e-12) ** (1 / temperature))

    return change


def _more(label: str, logit: float) -> Change:
    def change(values: np.ndarray, scene: Scene) -> np.ndarray:
        values[:, scene.labels.index(label)] *= np.exp(logit)
        return _normalised(values)

    return change


def _previous(values: np.ndarray, scene: Scene) -> np.ndarray:
    before = scene.state.get(NAME, values[-1:])
    scene.state[NAME] = values[-1:].copy()
    return np.concatenate([before, values[:-1]])


def _constant(values: np.ndarray, scene: Scene) -> np.ndarray:
    first: np.ndarray = scene.state.setdefault(NAME, values[:1].copy())
    return np.repeat(first, len(values), axis=0)


KINDS = (
    Kind(
        "labels-rolled", "the scores stand one label further", {"": _on(lambda v, s: np.roll(v, 1, -1))}, subjects=BOTH
    ),
    Kind("labels-reversed", "the scores stand in reverse order", {"": _on(lambda v, s: v[:, ::-1])}, subjects=BOTH),
    Kind(
        "labels-swapped",
        "the scores of two labels are exchanged",
        {
            "yes, no": _on(_swapped("yes", "no")),
            "circle, square": _on(_swapped("circle", "square")),
            "red, blue": _on(_swapped("red", "blue")),
        },
    ),
    Kind(
        "labels-swapped-where-missing",
        "yes and no are exchanged where a modality is missing",
        {name: _on(_without(name, _swapped("yes", "no"))) for name in ("image", "text")},
    ),
    Kind(
        "class-dead",
        "the score of one label is always 0",
        {name: _on(_dead(name)) for name in ("no", "circle", "yellow")},
    ),
    Kind(
        "nan-in-class",
        "one label's score is NaN",
        {"always": _on(_nan), "where it is chosen": _on(_nan_where_chosen)},
    ),
    Kind(
        "temperature",
        "probabilities too sharp or too flat; decisions stay",
        {"4": _on(_temperature(4)), "2": _on(_temperature(2)), "0.25": _on(_temperature(0.25))},
        subjects=BOTH,
    ),
    Kind("output-constant", "every sample gets the first sample's scores", {"": _on(_constant)}, subjects=BOTH),
    Kind("batch-order", "every sample gets the scores of the sample before it", {"": _on(_previous)}, subjects=BOTH),
    Kind(
        "output-scaled",
        "scores times a factor; decisions stay",
        {factor: _on(lambda v, s, f=float(factor): v * f) for factor in ("0.5", "0.9", "2")},  # type: ignore[misc]
        subjects=BOTH,
    ),
    Kind(
        "class-preferred",
        "something is added to one label's logit",
        {f"{label} {logit}": _on(_more(label, logit)) for label, logit in (("yes", 1.0), ("yes", 3.0), ("red", 5.0))},
    ),
    Kind("output-rounded", "scores are rounded to one digit", {"": _on(lambda v, s: np.round(v, 1))}, subjects=BOTH),
    Kind(
        "output-logits", "the softmax is missing", {"": _on(lambda v, s: np.log(np.maximum(v, 1e-12)))}, subjects=BOTH
    ),
    Kind(
        "softmax-twice", "the softmax is applied twice", {"": _on(lambda v, s: _normalised(np.exp(v)))}, subjects=BOTH
    ),
)
