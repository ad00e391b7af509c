"""The int8 grid of weights and activations in float arithmetic, with gradients that pass straight through.

As in Jacob et al. 2018 (arXiv:1712.05877): values are rounded to the grid in the forward pass; the backward pass treats
the rounding as the identity within the range and gives nothing outside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

__all__ = ["GRIDS", "ActivationRange", "Grid", "rounded_kernel"]

_SMALLEST = 1e-6
"""A range narrower than this would divide by zero; nothing that a network computes with is so small throughout."""


@dataclass(frozen=True)
class Grid:
    """How a format writes int8."""

    symmetric: bool
    """Activations reach as far on either side of 0, and their zero point is 0; else it moves with the range."""
    dense_per_channel: bool
    """Dense layers have a scale for each output channel, as convolutions always do; else one scale."""
    outputs: bool
    """A layer's output is rounded as well as its input."""


GRIDS = {
    "tflite": Grid(symmetric=False, dense_per_channel=False, outputs=True),
    "onnx": Grid(symmetric=True, dense_per_channel=True, outputs=False),
}
"""Grids by the format whose int8 files use them; an ONNX file's is that of TensorRT."""


def rounded_kernel(kernel: Any, summed: tuple[int, ...], *, per_channel: bool = True) -> Any:
    """Round a kernel to int8, symmetric, with one scale for each output channel or one in all.

    A batch normalisation behind the layer multiplies every channel by a number of its own, and the channel's scale with
    it, so that the rounding is the same before and after the exporters fold one into the other.

    Args:
        kernel: float, any shape.
        summed: axes that the layer sums over; the others make up its output channels.
        per_channel: give each output channel a scale of its own.

    Returns:
        float of the same shape; values of one scale are at most 255 different ones.
    """
    if not per_channel:
        reach = ops.maximum(ops.max(ops.abs(kernel)), _SMALLEST)
        return keras.quantizers.fake_quant_with_min_max_vars(kernel, -reach, reach, num_bits=8, narrow_range=True)
    kept = [axis for axis in range(len(kernel.shape)) if axis not in summed]
    order = [*summed, *kept]
    moved = ops.transpose(kernel, order)
    channels = math.prod(int(kernel.shape[axis]) for axis in kept)
    flat = ops.reshape(moved, (-1, channels))
    largest = ops.maximum(ops.max(ops.abs(flat), axis=0), _SMALLEST)
    flat = keras.quantizers.fake_quant_with_min_max_vars(
        flat, -largest, largest, num_bits=8, narrow_range=True, axis=-1
    )
    back = [order.index(axis) for axis in range(len(order))]
    return ops.transpose(ops.reshape(flat, moved.shape), back)


@keras.saving.register_keras_serializable("mmkeras")
class ActivationRange(keras.layers.Layer):
    """Rounds an activation to int8 within a range that follows the data.

    An exported file's range is the smallest and largest value of all calibration samples. So this one widens at once
    to what a training batch reaches, and narrows slowly when batches reach less: a moving average would teach a finer
    grid than the file has, one that cuts off the largest values. The range always holds 0, which int8 must be able to
    say exactly. Input and output: float, any shape.

    Args:
        symmetric: the range is as long on either side of 0, as TensorRT wants it; else its zero point moves.
        momentum: share of the old range that a training batch leaves when it reaches less far.
    """

    def __init__(self, symmetric: bool = False, momentum: float = 0.995, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symmetric = symmetric
        self.momentum = momentum

    def build(self, input_shape: Any = None) -> None:
        """Create the two ends of the range."""
        del input_shape
        self.minimum = self.add_weight(shape=(), initializer="zeros", trainable=False, name="minimum")
        self.maximum = self.add_weight(shape=(), initializer="ones", trainable=False, name="maximum")

    def assign(self, minimum: float, maximum: float) -> None:
        """Set the range."""
        self.minimum.assign(minimum)
        self.maximum.assign(maximum)

    def call(self, values: Any, training: bool | None = None) -> Any:
        """Round; in training, follow the batch first."""
        if training:
            ends = ((self.minimum, ops.min, ops.minimum), (self.maximum, ops.max, ops.maximum))
            for end, reached, further in ends:
                # The range is measured, not learnt: no gradient.
                found = ops.stop_gradient(reached(values))
                end.assign(further(found, self.momentum * end + (1 - self.momentum) * found))
        low = ops.minimum(ops.convert_to_tensor(self.minimum), 0.0)
        high = ops.maximum(ops.convert_to_tensor(self.maximum), _SMALLEST)
        if self.symmetric:
            high = ops.maximum(-low, high)
            low = -high
        return keras.quantizers.fake_quant_with_min_max_vars(values, low, high, num_bits=8, narrow_range=self.symmetric)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "symmetric": self.symmetric, "momentum": self.momentum}
