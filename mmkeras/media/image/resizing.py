"""Resizes RGB pixels to the model's size on the host, equal to ``tf.image.resize`` in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

__all__ = ["TIE", "fit", "resize_rgb"]

TIE = 2.0**-10
"""Added before rounding: halves are common, and float errors could round them up here and down in the graph."""


def fit(height: Any, width: Any, inside_height: Any, inside_width: Any) -> tuple[Any, Any]:
    """Return the unclipped largest size with the aspect of (height, width) inside another, rounded half up.

    Integer arithmetic without branches, so that Python and TensorFlow give the same pixels. Clip the result to
    ``1 .. inside``.
    """
    return ((2 * height * inside_width + width) // (2 * width), (2 * width * inside_height + height) // (2 * height))


def resize_rgb(image: Image.Image, height: int, width: int, mode: str, fill: int = 0) -> np.ndarray:
    """Return the image, in mode RGB, as uint8 (height, width, 3).

    Bilinear with antialiasing in float, then rounded, which equals
    ``tf.image.resize(..., "bilinear", antialias=True)`` to one level. ``mode`` is ``stretch``, ``letterbox`` (bars of
    the grey level ``fill``) or ``center_crop`` (largest centred window).
    """
    if mode == "center_crop":
        fitted = fit(height, width, image.height, image.width)
        window = min(max(fitted[0], 1), image.height), min(max(fitted[1], 1), image.width)
        top, left = (image.height - window[0]) // 2, (image.width - window[1]) // 2
        image = image.crop((left, top, left + window[1], top + window[0]))
    if mode != "letterbox":
        return _resize(image, height, width)
    fitted = fit(image.height, image.width, height, width)
    inner = min(max(fitted[0], 1), height), min(max(fitted[1], 1), width)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    pixels = np.full((height, width, 3), fill, np.uint8)
    pixels[top : top + inner[0], left : left + inner[1]] = _resize(image, *inner)
    return pixels


def _resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    if image.size == (width, height):
        return np.asarray(image)
    # In mode "F" nothing is rounded between the horizontal and the vertical pass.
    channels = [
        np.asarray(channel.convert("F").resize((width, height), Image.Resampling.BILINEAR)) for channel in image.split()
    ]
    return np.clip(np.rint(np.stack(channels, axis=-1) + TIE), 0, 255).astype(np.uint8)
