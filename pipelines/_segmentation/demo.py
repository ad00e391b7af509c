"""Drawn streets in the layout of CamVid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.data.sources.camvid import LABELS, VOID

__all__ = ["draw_street", "write_streets"]

_COLOURS = {
    "sky": (150, 190, 230),
    "building": (150, 110, 90),
    "pole": (60, 60, 70),
    "road": (85, 85, 90),
    "pavement": (170, 165, 160),
    "tree": (50, 110, 50),
    "sign": (220, 200, 40),
    "fence": (120, 80, 40),
    "car": (40, 60, 170),
    "pedestrian": (190, 60, 60),
    "bicyclist": (200, 60, 190),
}
Box = tuple[float, float, float, float]


def write_streets(folder: Path, train: int = 48, validation: int = 16, seed: int = 0) -> None:
    """Write drawn streets of 128 x 96 pixels with their masks; each has three quarters of the things."""
    rng = np.random.default_rng(seed)
    for part, count in (("train", train), ("val", validation)):
        for name in (part, f"{part}annot"):
            (folder / "CamVid" / name).mkdir(parents=True)
        for number in range(count):
            picture, mask = draw_street(rng)
            name = f"{part}{number % 2}_{number:03d}.png"
            picture.save(folder / "CamVid" / part / name)
            mask.save(folder / "CamVid" / f"{part}annot" / name)


def draw_street(rng: np.random.Generator, width: int = 128, height: int = 96) -> tuple[Image.Image, Image.Image]:
    """Return a street, mode RGB, and its mask of class numbers, mode L."""
    picture, mask = Image.new("RGB", (width, height)), Image.new("L", (width, height), VOID)
    pens = ImageDraw.Draw(picture), ImageDraw.Draw(mask)
    light = rng.uniform(0.7, 1.15)
    horizon = height * rng.uniform(0.4, 0.5)

    def put(label: str, *shapes: Box | list[tuple[float, float]], round_: bool = False) -> None:
        shade = light * rng.uniform(0.85, 1.15)
        colour = tuple(int(min(255, value * shade)) for value in _COLOURS[label])
        fills: tuple[Any, ...] = (colour, LABELS.index(label))
        for pen, fill in zip(pens, fills, strict=True):
            for shape in shapes:
                if isinstance(shape, list):
                    pen.polygon(shape, fill)
                elif round_:
                    pen.ellipse(shape, fill)
                else:
                    pen.rectangle(shape, fill)

    def there() -> bool:
        return bool(rng.random() < 0.75)

    put("sky", (0, 0, width, horizon))
    put("pavement", (0, horizon, width, height))
    middle = width * rng.uniform(0.4, 0.6)
    put("road", [(middle - 8, horizon), (middle + 8, horizon), (width * 0.95, height), (width * 0.05, height)])
    for left in (0.0, width * 0.72):
        put("building", (left, horizon - rng.uniform(15, 32), left + width * rng.uniform(0.2, 0.28), horizon + 4))
    if there():
        x = rng.uniform(0.28, 0.36) * width
        put("tree", (x - 3, horizon - 8, x + 3, horizon + 6))
        put("tree", (x - 12, horizon - 30, x + 12, horizon - 4), round_=True)
    if there():
        put("fence", (width * 0.74, horizon + 2, width, horizon + 12))
    if there():
        x = rng.uniform(0.1, 0.2) * width
        put("pole", (x, horizon - 34, x + 3, horizon + 16))
    if there():
        x = rng.uniform(0.68, 0.76) * width
        put("pole", (x, horizon - 12, x + 2, horizon + 14))
        put("sign", (x - 6, horizon - 24, x + 8, horizon - 12))
    if there():
        x, y = middle + rng.uniform(-22, 10), horizon + rng.uniform(6, 18)
        put("car", (x, y, x + 24, y + 11), (x + 5, y - 6, x + 19, y))
    for label, x in (("pedestrian", rng.uniform(4, 16)), ("bicyclist", rng.uniform(100, 114))):
        if there():
            y = height * rng.uniform(0.55, 0.65)
            put(label, (x, y, x + 6, y + 6), round_=True)
            put(label, (x - 1, y + 6, x + 7, y + 22))
            if label == "bicyclist":
                put(label, (x - 8, y + 18, x + 2, y + 28), (x + 4, y + 18, x + 14, y + 28), round_=True)
    noise = rng.normal(0, 6, (height, width, 3))
    seen = (np.asarray(picture, np.float64) + noise).clip(0, 255).astype(np.uint8)
    return Image.fromarray(seen), mask
