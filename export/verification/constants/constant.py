"""A constant of a file as the engine computes with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Constant", "float16_constant", "quantised_constant"]

FILLED = 252
"""Steps, of the 254 from -127 to 127, that the numbers of a channel span at least; half as many on one side of 0 do."""

_HALF_TINY = float(np.finfo(np.float16).smallest_subnormal)


@dataclass(frozen=True)
class Constant:
    """Numbers of a file, in float32, and how far rounding may have moved each of them."""

    name: str
    """Of the tensor, as the file has it."""
    values: np.ndarray
    """Dequantised, float32, in the file's own order, flat."""
    rounding: np.ndarray
    """Largest distance to the number that was rounded, float32, flat like `values` or of length 1."""
    kind: str
    """Type in the file, for messages."""
    coarse: int = 0
    """Channels whose scale is so large that their numbers fill only a part of 8 bits."""


def float16_constant(name: str, values: np.ndarray) -> Constant:
    """Return a float16 constant: half of a last digit may be lost, and tiny values become 0 or the smallest one."""
    wide = values.astype(np.float32).ravel()
    return Constant(name, wide, np.abs(wide) * np.float32(2.0**-11) + np.float32(_HALF_TINY), "float16")


def quantised_constant(
    name: str, numbers: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, axis: int | None
) -> Constant:
    """Return an integer constant: (numbers - zero_point) * scale, half a step away from what was rounded.

    Args:
        name: of the tensor.
        numbers: integers of any shape.
        scale: (1,) or, with an axis, (channels,).
        zero_point: like the scale; (1,) stands for all.
        axis: that counts the channels; None for one scale.
    """
    shape = [1] * numbers.ndim
    if axis is not None and scale.size > 1:
        shape[axis] = scale.size
        zero_point = np.broadcast_to(zero_point, scale.shape)
    else:
        scale, zero_point = scale[:1], zero_point[:1]
    step = scale.astype(np.float32).reshape(shape)
    values = (numbers.astype(np.float32) - zero_point.astype(np.float32).reshape(shape)) * step
    rounding = np.broadcast_to(np.abs(step) / 2, numbers.shape)
    if zero_point.any():
        # A zero point is rounded too, so that the numbers at both ends may be cut by another half step.
        ends = np.iinfo(numbers.dtype)
        rounding = np.where((numbers == ends.min) | (numbers == ends.max), 2 * rounding, rounding)
    coarse = _coarse(values / step, axis if scale.size > 1 else None) if numbers.dtype.itemsize == 1 else 0
    return Constant(name, values.ravel(), rounding.ravel(), str(numbers.dtype), coarse)


def _coarse(numbers: np.ndarray, axis: int | None) -> int:
    """Return how many channels leave steps unused; one of zeros has nothing to fill them with."""
    others = tuple(i for i in range(numbers.ndim) if i != axis)
    low, high = numbers.min(others, initial=0), numbers.max(others, initial=0)
    filled = (np.maximum(-low, high) >= FILLED / 2) | (high - low >= FILLED)
    return int((~filled & (high > low)).sum())
