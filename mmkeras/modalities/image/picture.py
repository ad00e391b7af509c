"""How an image is shown in reports."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmkeras.media.image.pixels import read_rgb

__all__ = ["image"]

LARGEST = 512


def image(value: Any) -> np.ndarray:
    """Return a raw image as pixels, uint8 (H, W, 3), at most 512 on the longer side."""
    picture = read_rgb(value)
    picture.thumbnail((LARGEST, LARGEST))
    return np.asarray(picture)
