"""A constant of a file with the values that the engine uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FLOAT_NOISE", "Constant", "float16_constant", "quantised_constant"]

FLOAT_NOISE = 4e-6
"""What another order of constant folding may add, as a share of the constant's largest value."""
FILLED = 252
"""Smallest range of a channel's values in steps, of the 254 from -127 to 127; on one side of 0, half of it suffices."""

_HALF_TINY = float(np.finfo(np.float16).smallest_subnormal)


@dataclass(frozen=True)
class Constant:
    """Values of a constant, and the largest rounding error of each."""

    name: str
    """Name of the tensor in the file."""
    values: np.ndarray
    """Dequantised values, float32 (N,), in the file's order."""
    rounding: np.ndarray
    """Largest rounding error, float32 (N,) or (1,)."""
    kind: str
    """Type in the file, for messages."""
    coarse: int = 0
    """Number of channels whose scale is so large that their values use only a part of 8 bits."""


def float16_constant(name: str, values: np.ndarray) -> Constant:
    """Return a float16 constant: values are rounded to half a last digit, tiny ones to 0 or the smallest subnormal."""
    wide = values.astype(np.float32).ravel()
    return Constant(name, wide, np.abs(wide) * np.float32(2.0**-11) + np.float32(_HALF_TINY), "float16")


def quantised_constant(
    name: str, numbers: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, axis: int | None
) -> Constant:
    """Return an integer constant: (numbers - zero_point) * scale, rounded to half a step.

    Args:
        name: name of the tensor.
        numbers: integers of any shape.
        scale: (1,) or, with an axis, (channels,).
        zero_point: like the scale, or (1,) for all channels.
        axis: the axis of the channels; None for one scale.
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
        # The zero point is rounded, too, so the values at both ends may be clipped by another half step.
        ends = np.iinfo(numbers.dtype)
        rounding = np.where((numbers == ends.min) | (numbers == ends.max), 2 * rounding, rounding)
    # Pretrained networks have dead channels with all weights below 1e-8: a converter gives them its smallest scale.
    felt = np.abs(step) / 2 > FLOAT_NOISE * np.abs(values).max(initial=0)
    codes = np.where(felt, values / step, 0)
    coarse = _coarse(codes, axis if scale.size > 1 else None) if numbers.dtype.itemsize == 1 else 0
    return Constant(name, values.ravel(), rounding.ravel(), str(numbers.dtype), coarse)


def _coarse(numbers: np.ndarray, axis: int | None) -> int:
    """Return the number of channels that leave steps unused; channels of zeros do not count."""
    others = tuple(i for i in range(numbers.ndim) if i != axis)
    low, high = numbers.min(others, initial=0), numbers.max(others, initial=0)
    filled = (np.maximum(-low, high) >= FILLED / 2) | (high - low >= FILLED)
    return int((~filled & (high > low)).sum())
