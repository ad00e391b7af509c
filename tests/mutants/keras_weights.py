"""Changes weights in a Keras model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.mutants.layers import Layer

__all__ = ["change_bias", "change_kernel", "copy_of"]


def copy_of(model: Any) -> Any:
    """Return a model of the same architecture and weights."""
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def change_kernel(model: Any, layer: Layer, change: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Change a kernel, given with its outputs on the first axis."""
    for variable in model.weights:
        if variable.shape.rank > 1 and layer.holds_kernel(variable.path):
            values = np.asarray(variable)
            table = "embedding" in variable.path or "token" in variable.path.split("/")[-1]
            flat = (
                values
                if table
                else values.reshape(values.shape[0], -1).T
                if values.ndim < 4
                else values.transpose(3, 0, 1, 2)
            )
            changed = change(flat)
            if not table:
                changed = changed.T.reshape(values.shape) if values.ndim < 4 else changed.transpose(1, 2, 3, 0)
            variable.assign(changed)
            return True
    return False


def change_bias(model: Any, layer: Layer, change: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Change a layer's bias, or the offset of its batch norm."""
    for variable in model.weights:
        if layer.holds_bias(variable.path) and variable.path.split("/")[-1] in ("bias", "beta"):
            variable.assign(change(np.asarray(variable)))
            return True
    return False
