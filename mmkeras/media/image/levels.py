"""Stretches the levels of a picture, so that signs in the dark and in the sun look alike to the model."""

from __future__ import annotations

import numpy as np

__all__ = ["CUT", "LEAST", "stretch_levels"]

CUT = 100
"""One in so many values may become black, and one in so many white: single bright pixels do not count."""
LEAST = 8
"""Levels between black and white that are stretched at most: below, a picture shows noise alone."""


def stretch_levels(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels of any shape with the darkest hundredth of the values at 0 and the brightest at 255.

    All channels are stretched alike, so that colours stay. `mmkeras.modalities.image.levels` does the same in graphs.
    """
    cut = pixels.size // CUT
    below = np.bincount(pixels.ravel(), minlength=256).cumsum()
    low, high = (int(level) for level in np.searchsorted(below, (cut, pixels.size - 1 - cut), side="right"))
    scale = np.float32(255) / np.float32(max(high - low, LEAST))
    stretched = np.round((pixels.astype(np.float32) - np.float32(low)) * scale)
    return np.clip(stretched, 0, 255).astype(np.uint8)
