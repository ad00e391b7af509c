"""Pictures that exercise the preprocessing: distinct channels, sharp edges, sizes to enlarge and to reduce."""

from __future__ import annotations

import io

import numpy as np

__all__ = ["probe_pictures"]


def probe_pictures(height: int, width: int) -> tuple[bytes, ...]:
    """Return PNG files: one larger than the model's input and one smaller, neither of its aspect ratio."""
    from PIL import Image

    found = []
    for rows, columns in ((height * 2 + 3, width * 3 // 2 + 5), (height // 2 + 1, width * 2 // 3 + 1)):
        stream = io.BytesIO()
        Image.fromarray(_pattern(rows, columns)).save(stream, "PNG")
        found.append(stream.getvalue())
    return tuple(found)


def _pattern(rows: int, columns: int) -> np.ndarray:
    """Return different waves in each channel, with a chequered corner and a bright bar, uint8 (rows, columns, 3)."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    y, x = y / rows, x / columns
    red = 150 + 100 * np.sin(9 * x + 4 * y)
    green = 90 + 80 * np.sin(3 * x - 7 * y + 1)
    blue = 40 + 40 * np.cos(15 * x * y)
    picture = np.stack([red, green, blue], axis=-1)
    squares = (np.arange(rows)[:, None] // 3 + np.arange(columns)[None] // 3) % 2 == 0
    picture[(y < 0.4) & (x > 0.6) & squares] = (255, 10, 10)
    picture[(y > 0.7) & (y < 0.8)] = (240, 240, 60)
    return np.asarray(np.clip(picture.round(), 0, 255), np.uint8)
