"""Trains the dense layers of attention as products of two matrices.

The projections of `keras.layers.MultiHeadAttention` are `keras.layers.EinsumDense`, which TensorFlow computes as
batched products of more than two axes, and so their gradients. As a product of two matrices, the same sums are faster.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from mmkeras.training.replaced import replaced

__all__ = ["flat_dense"]


@contextlib.contextmanager
def flat_dense(model: keras.Model) -> Iterator[None]:
    """Train a model within the context with its `keras.layers.EinsumDense` as products of two matrices.

    It applies where a layer sums over the last axes of its input and the first axes of its kernel, such as
    ``abc,cde->abde``, and to the training step alone; results differ by rounding. Layers keep their class, weights
    and saved form, and inference and exports keep the operations of Keras.
    """
    with contextlib.ExitStack() as stack:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.EinsumDense):
                stack.enter_context(replaced(layer, "call", functools.partial(_call, layer, layer.call)))
        yield


def _call(
    layer: keras.layers.EinsumDense, by_keras: Callable[..., Any], inputs: Any, training: bool | None = None
) -> Any:
    summed = _summed(layer.equation)
    if not training or not summed:
        return by_keras(inputs, training=training)
    kernel = ops.convert_to_tensor(layer.kernel)
    kept = tuple(kernel.shape[summed:])
    rows = ops.reshape(inputs, (-1, math.prod(kernel.shape[:summed])))
    outputs = ops.matmul(rows, ops.reshape(kernel, (-1, math.prod(kept))))
    outputs = ops.reshape(outputs, (*ops.shape(inputs)[:-summed], *kept))
    if layer.bias is not None:
        outputs = ops.add(outputs, layer.bias)
    return outputs if layer.activation is None else layer.activation(outputs)


def _summed(equation: str) -> int:
    """Return the number of axes that a product of two matrices sums over, or 0 if the equation is no such product."""
    inputs, kernel, outputs = equation.replace("->", ",").split(",")
    summed = sum(axis in kernel for axis in inputs)
    split = len(inputs) - summed
    plain = inputs[split:] == kernel[:summed] and outputs == inputs[:split] + kernel[summed:] and "." not in equation
    return summed if plain else 0
