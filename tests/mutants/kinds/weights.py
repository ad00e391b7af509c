"""Faults in the weights of a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from tests.mutants import keras_weights, litert_weights, onnx_weights
from tests.mutants.kind import FileEdit, Kind
from tests.mutants.layers import LAYERS

__all__ = ["KINDS", "edit", "noise", "swapped", "zero"]

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Kernel (outputs, ...) or vector -> the same with another content."""


def _apply(module: ModuleType, part: str, layer: str, change: Change, model: Any, rng: np.random.Generator) -> bool:
    done: bool = getattr(module, f"change_{part}")(model, LAYERS[layer], lambda values: change(values, rng))
    return done


def edit(layer: str, change: Change, part: str = "kernel") -> FileEdit:
    return FileEdit(
        *(partial(_apply, module, part, layer, change) for module in (litert_weights, onnx_weights, keras_weights))
    )


def _exchange(module: ModuleType, first: str, second: str, model: Any, rng: np.random.Generator) -> bool:
    kept: list[np.ndarray] = []

    def take(values: np.ndarray) -> np.ndarray:
        kept.append(values.copy())
        return values

    layers = LAYERS[first], LAYERS[second]
    if not all(module.change_kernel(model, layer, take) for layer in layers) or kept[0].shape != kept[1].shape:
        return False
    return all(module.change_kernel(model, layer, lambda v, w=kept[1 - i]: w) for i, layer in enumerate(layers))


def swapped(first: str, second: str) -> FileEdit:
    return FileEdit(
        *(partial(_exchange, module, first, second) for module in (litert_weights, onnx_weights, keras_weights))
    )


def noise(share: float) -> Change:
    def change(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return values + share * values.std() * rng.standard_normal(values.shape)

    return change


def _zero_filter(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    strongest = np.abs(values.reshape(len(values), -1)).sum(1).argmax()
    return np.where((np.arange(len(values)) == strongest).reshape(-1, *[1] * (values.ndim - 1)), 0, values)


def _negate_filter(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    strongest = np.abs(values.reshape(len(values), -1)).sum(1).argmax()
    return np.where((np.arange(len(values)) == strongest).reshape(-1, *[1] * (values.ndim - 1)), -values, values)


def _bits(bits: int) -> Change:
    def change(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        step = np.abs(values).max() / (2 ** (bits - 1) - 1)
        return np.asarray(np.rint(values / step) * step)

    return change


def _clipped(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(values, -0.5 * np.abs(values).max(), 0.5 * np.abs(values).max())


def _exchange_words(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exchange the rows of the two longest vectors in the upper half of the table, which hold words that occur."""
    rows = np.argsort(np.linalg.norm(values, axis=1))[-2:]
    values = values.copy()
    values[rows] = values[rows[::-1]]
    return values


def zero(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.zeros_like(values)


_NOISY = ("last convolution", "text projection", "fusion value", "head")

KINDS = (
    Kind(
        "weights-noisy",
        "noise on the weights of one layer, as a share of their standard deviation",
        {f"{layer} {share:.0%}": edit(layer, noise(share)) for layer in _NOISY for share in (0.01, 0.05, 0.2, 1.0)},
    ),
    Kind(
        "bias-dropped",
        "a layer adds nothing",
        {
            layer: edit(layer, zero, "bias")
            for layer in ("first convolution", "last convolution", "fusion feed forward", "text projection", "head")
        },
    ),
    Kind(
        "filter-zeroed",
        "the strongest output of a layer is 0",
        {
            layer: edit(layer, _zero_filter)
            for layer in ("first convolution", "last convolution", "fusion value", "head")
        },
    ),
    Kind(
        "filter-negated",
        "the strongest output of a layer has the other sign",
        {layer: edit(layer, _negate_filter) for layer in ("first convolution", "text projection", "fusion value")},
    ),
    Kind(
        "layer-zeroed",
        "the weights of a layer are 0",
        {layer: edit(layer, zero) for layer in ("image projection", "text projection", "fusion value", "fusion key")},
    ),
    Kind(
        "layers-exchanged",
        "two layers have each other's weights",
        {"key, value": swapped("fusion key", "fusion value"), "gate": swapped("fusion feed forward", "fusion gate")},
    ),
    Kind(
        "layer-transposed",
        "a square kernel is transposed",
        {layer: edit(layer, lambda v, r: v.T) for layer in ("text projection", "fusion value")},
    ),
    Kind(
        "weights-coarse",
        "the weights of a layer have so few bits",
        {
            f"{layer} {bits} bits": edit(layer, _bits(bits))
            for layer in ("last convolution", "fusion feed forward")
            for bits in (4, 2)
        },
    ),
    Kind(
        "weights-clipped",
        "large weights of a layer are cut to half the range",
        {layer: edit(layer, _clipped) for layer in ("last convolution", "text projection", "head")},
    ),
    Kind("words-exchanged", "two words have each other's vector", {"": edit("word embedding", _exchange_words)}),
    Kind(
        "embedding-rolled",
        "every word has its neighbour's vector",
        {"": edit("word embedding", lambda v, r: np.roll(v, 1, 0))},
    ),
    Kind(
        "null-token-ignored",
        "nothing stands for a missing modality",
        {name: edit(f"{name} null token", zero) for name in ("image", "text")},
    ),
)
