"""How far inputs made on a device may be from those that training makes."""

from __future__ import annotations

import numpy as np

__all__ = ["PIXEL_LEVELS", "ROUNDED_SHARE", "input_difference"]

# Another build of libjpeg may round a pixel to the next level, and another maths library the last bit of a float.
PIXEL_LEVELS = 1.0
"""By how much a pixel of 8 bits may differ from that of training: a tie is rounded to either side."""
ROUNDED_SHARE = 0.05
"""Share of the pixels that may differ at all: ties are rare."""
RELATIVE = 1e-5
"""By how much a float may differ, as a share of the tensor's largest value, at least of 1."""


def input_difference(expected: np.ndarray, got: np.ndarray) -> tuple[float, float]:
    """Return the largest difference of one tensor, infinite where a value is not finite, and what is allowed.

    Args:
        expected: of the training path.
        got: of the device.
    """
    if expected.shape != got.shape:
        return float("inf"), 0.0
    first, second = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    apart = np.abs(first - second)
    difference = float(np.where(np.isfinite(apart), apart, np.inf).max(initial=0.0))
    if expected.dtype == np.uint8:
        return difference, PIXEL_LEVELS if float((first != second).mean()) <= ROUNDED_SHARE else 0.0
    if np.issubdtype(expected.dtype, np.integer):
        return difference, 0.0
    return difference, RELATIVE * max(1.0, float(np.abs(first).max(initial=0.0)))
