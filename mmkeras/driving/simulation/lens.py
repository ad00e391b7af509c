"""What happens in the lens: the glow of lamps, streaks of rain and drops on the glass."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mmkeras.driving.simulation.canvas import LitLamp
from mmkeras.driving.simulation.weather import Atmosphere

__all__ = ["add_lamps", "add_rain"]


def add_lamps(lamps: list[LitLamp], objects: np.ndarray, air: Atmosphere, focal: float) -> np.ndarray:
    """Return the light (height, width, 3) that visible lamps add: a core and a halo each, mirrored by a wet road.

    Args:
        lamps: all that shine towards the camera.
        objects: the object map (height, width); a lamp behind another object adds nothing.
        air: how bright lamps are and how far they reach.
        focal: pixels.
    """
    height, width = objects.shape
    layer = np.zeros((height, width, 3), np.float32)
    for lamp in lamps:
        x, y = int(lamp.column), int(lamp.row)
        if not (0 <= x < width and 0 <= y < height):
            continue
        window = objects[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        if not (window == lamp.owner).any():
            continue
        if air.glow * lamp.power * math.exp(-lamp.depth / air.reach) < 0.02:
            continue
        core = max(lamp.radius * focal / lamp.depth, 0.6)
        clear = math.exp(-lamp.depth / air.reach)
        strength = air.glow * lamp.power * clear * 150.0
        _blot(layer, lamp, core, min(strength * 1.4, 400.0))
        _blot(layer, lamp, core * 3.5 + 1.5, strength * 0.12)
        if air.wet and lamp.power > 0.5:
            _smear(layer, lamp, core, strength * 0.10, focal)
    return layer


def _blot(layer: np.ndarray, lamp: LitLamp, size: float, strength: float) -> None:
    reach = math.ceil(2.5 * size)
    top, bottom = max(int(lamp.row) - reach, 0), min(int(lamp.row) + reach + 1, layer.shape[0])
    left, right = max(int(lamp.column) - reach, 0), min(int(lamp.column) + reach + 1, layer.shape[1])
    if top >= bottom or left >= right:
        return
    y = np.exp(-(((np.arange(top, bottom) + 0.5 - lamp.row) / size) ** 2))
    x = np.exp(-(((np.arange(left, right) + 0.5 - lamp.column) / size) ** 2))
    colour = np.array(lamp.colour, np.float32) * (strength / 255)
    layer[top:bottom, left:right] += np.outer(y, x).astype(np.float32)[..., None] * colour


def _smear(layer: np.ndarray, lamp: LitLamp, size: float, strength: float, focal: float) -> None:
    """Mirror a lamp in the wet road as a streak towards the camera."""
    top = min(int(lamp.row + focal / lamp.depth), layer.shape[0])
    bottom = min(top + int(500 / lamp.depth) + 4, layer.shape[0])
    left, right = max(int(lamp.column - size), 0), min(int(lamp.column + size) + 1, layer.shape[1])
    if top < bottom and left < right:
        fade = np.linspace(1, 0, bottom - top, dtype=np.float32)[:, None, None]
        layer[top:bottom, left:right] += fade * np.array(lamp.colour, np.float32) * (strength / 255)


def add_rain(picture: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Return a picture (height, width, 3) as seen through rain of an amount from 0 to 1."""
    height, width = picture.shape[:2]
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(0.4 + 0.5 * amount))
    drops = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(drops)
    for _ in range(rng.poisson(7 * amount)):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 16)
        draw.ellipse([x - r, y - r, x + r, y + 1.25 * r], fill=210)
    smooth = image.reduce(4).filter(ImageFilter.BoxBlur(1.5)).resize((width, height), Image.Resampling.BILINEAR)
    image.paste(smooth, (0, 0), drops.filter(ImageFilter.BoxBlur(2)))
    streaks = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(streaks)
    slant = rng.uniform(-0.15, 0.15)
    for _ in range(int(170 * amount)):
        x, y, length = rng.uniform(0, width), rng.uniform(-20, height), rng.uniform(8, 26)
        draw.line([x, y, x + slant * length, y + length], fill=int(rng.integers(20, 70)))
    level = float(picture.mean()) / 110 + 0.15
    return np.asarray(image, np.float32) + (np.asarray(streaks, np.float32) * min(level, 1.0))[..., None]
