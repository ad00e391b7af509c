"""Rounds weights and activations to the int8 grid in float arithmetic, with straight-through gradients.

As in Jacob et al. 2018 (arXiv:1712.05877): the forward pass rounds values to the grid; in the backward pass the
rounding has gradient 1 within the range and 0 outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

__all__ = ["GRIDS", "ActivationRange", "Grid", "rounded_kernel"]

_SMALLEST = 1e-6
"""Lower limit of a range, against a division by zero; activations of a network do not have smaller ranges."""


@dataclass(frozen=True)
class Grid:
    """The int8 grid of a format."""

    symmetric: bool
    """Whether ranges of activations are symmetric with zero point 0; else the zero point depends on the range."""
    dense_per_channel: bool
    """Whether dense layers have a scale for each output channel, as convolutions always have; else one scale."""
    outputs: bool
    """Whether a layer's output is rounded as well as its input."""


GRIDS = {
    "tflite": Grid(symmetric=False, dense_per_channel=False, outputs=True),
    "onnx": Grid(symmetric=True, dense_per_channel=True, outputs=False),
}
"""Grids by format; ONNX files have the grid of TensorRT."""


def rounded_kernel(kernel: Any, summed: tuple[int, ...], *, per_channel: bool = True) -> Any:
    """Round a kernel to symmetric int8, with a scale for each output channel or one scale.

    A batch normalization after the layer multiplies every channel and its scale by the same number. The rounding is
    therefore the same before and after the exporters fold it.

    Args:
        kernel: float, any shape.
        summed: axes that the layer sums over; the others are its output channels.
        per_channel: whether each output channel has its own scale.

    Returns:
        float of the same shape, with at most 255 different values for each scale.
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
    """Rounds an activation to int8 within a quantization range that follows the data.

    The range of an exported file has the smallest and largest value of all calibration samples. This range therefore
    widens at once to the values of a training batch, and narrows slowly. A moving average would be narrower than the
    file's range, and cut off the largest values. The range always includes 0, which int8 must represent exactly.
    Input and output: float, any shape.

    Args:
        symmetric: whether the range is symmetric, as in TensorRT.
        momentum: share of the old range that remains after a batch with a narrower range.
    """

    def __init__(self, symmetric: bool = False, momentum: float = 0.995, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symmetric = symmetric
        self.momentum = momentum

    def build(self, input_shape: Any = None) -> None:
        """Create the two ends of the range."""
        self.minimum = self.add_weight(shape=(), initializer="zeros", trainable=False, name="minimum")
        self.maximum = self.add_weight(shape=(), initializer="ones", trainable=False, name="maximum")

    def assign(self, minimum: float, maximum: float) -> None:
        """Set the range."""
        self.minimum.assign(minimum)
        self.maximum.assign(maximum)

    def call(self, values: Any, training: bool | None = None) -> Any:
        """Round the values; in training, update the range first."""
        if training:
            ends = ((self.minimum, ops.min, ops.minimum), (self.maximum, ops.max, ops.maximum))
            for end, reached, further in ends:
                # The range is measured, not trained.
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
