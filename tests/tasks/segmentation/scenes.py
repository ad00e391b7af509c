"""Drawn masks and pictures as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["png", "write_scenes"]

COLOURS = np.array([[40, 60, 200], [90, 90, 90], [220, 40, 40]], np.uint8)
"""Of sky, road and car in the pictures."""


def png(pixels: np.ndarray) -> bytes:
    """Return a PNG file of pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_scenes(folder: Path, count: int, size: tuple[int, int] = (32, 40), seed: int = 0) -> list[str]:
    """Write pictures ``<n>.png`` of sky, road and a car somewhere, and masks ``<n>_mask.png``; return the names."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, height, width = np.random.default_rng(seed), *size
    for number in range(count):
        mask = np.ones(size, np.uint8)
        mask[: height // 2 + rng.integers(-4, 4)] = 0
        if number % 4:
            top, left = rng.integers(height // 4, height // 2), rng.integers(0, width - 12)
            mask[top : top + 8, left : left + 12] = 2
        noise: Any = rng.integers(-25, 25, (*size, 3))
        Image.fromarray((COLOURS[mask] + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        mask[-1, :3] = 255
        Image.fromarray(mask).save(folder / f"{number}_mask.png")
    return [f"{number}" for number in range(count)]
