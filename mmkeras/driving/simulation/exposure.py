"""Turns a painted canvas into a photograph: adds light, air, sky, lamps, rain and noise.

Per pixel, with its distance z: ``colour * light(z) * exp(-z / reach) + air * (1 - exp(-z / reach))``, plus lamps,
streaks, drops and sensor noise. The distance of an object is that of its centre; the ground's follows from the row.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mmkeras.driving.simulation.camera import View
from mmkeras.driving.simulation.canvas import GROUND, SKY, Canvas, LitLamp
from mmkeras.driving.simulation.weather import Atmosphere

__all__ = ["expose"]

BLOCK = 32
"""Rows processed at a time, so that they fit the processor's cache."""


@functools.cache
def _noise() -> np.ndarray:
    return np.random.default_rng(7).standard_normal(1 << 21, dtype=np.float32)


@functools.cache
def _grain() -> np.ndarray:
    """Return a repeating texture (256, 256) float32 around 0: fine grain on larger blotches."""
    rng, total = np.random.default_rng(8), np.zeros((256, 256))
    for cells, weight in ((256, 0.5), (64, 0.35), (16, 0.35), (6, 0.3)):
        part = Image.fromarray(rng.integers(0, 255, (cells, cells), dtype=np.uint8)).resize(
            (256, 256), Image.Resampling.BICUBIC
        )
        total += weight * (np.asarray(part, np.float64) - 127) / 60
    return np.asarray(total, np.float32)


def expose(canvas: Canvas, air: Atmosphere, rng: np.random.Generator) -> np.ndarray:
    """Return the photograph (height, width, 3) uint8 of a painted canvas."""
    view = canvas.view
    objects = canvas.objects
    depth = _depth(canvas, objects)
    ground = objects == GROUND
    light: np.ndarray = np.ones(objects.shape, np.float32)
    if air.headlights:
        ambient = 0.025 if air.headlights == 1.0 else 1.0
        light = ambient + air.headlights * _headlights(view, depth, ground)
        light = np.where(light < 0.6, light, 1.2 - 0.36 / np.maximum(light, 0.6))
    light *= np.where(ground, _texture(view, depth, canvas), np.float32(1.0))
    clear = np.exp(depth * (-1.0 / air.reach))
    light *= clear
    scatter = 1.0 - clear
    above = min(max(math.ceil(view.horizon) + 8, 0), view.height)
    open_sky = objects[:above] == SKY
    light[:above][open_sky] = 0.0
    scatter[:above][open_sky] = 0.0
    sky = _sky(view, air, above) if open_sky.any() else None
    picture = np.empty((*objects.shape, 3), np.float32)
    colours = canvas.colours
    for first in range(0, view.height, BLOCK):
        rows = slice(first, first + BLOCK)
        np.multiply(colours[rows], light[rows, :, None], out=picture[rows])
        picture[rows] += scatter[rows, :, None] * air.veil
        if sky is not None and first < above:
            seen = slice(first, min(first + BLOCK, above))
            picture[seen] += sky[seen] * open_sky[seen, :, None]
    if canvas.lamps:
        picture += _add_lamps(canvas.lamps, objects, air, view.focal)
    if air.rain:
        picture = _add_rain(picture, air.rain, rng)
    return _noisy(picture, air.noise, rng)


def _noisy(picture: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    start = int(rng.integers(_noise().size - picture.size))
    noise = _noise()[start : start + picture.size].reshape(picture.shape)
    result = np.empty(picture.shape, np.uint8)
    for first in range(0, len(picture), BLOCK):
        rows = slice(first, first + BLOCK)
        part = noise[rows] * np.float32(amount)
        part += picture[rows]
        result[rows] = np.clip(part, 0, 255, out=part)
    return result


def _depth(canvas: Canvas, objects: np.ndarray) -> np.ndarray:
    view = canvas.view
    rows = np.arange(view.height, dtype=np.float32) + 0.5 - view.horizon
    plane = np.where(rows > 0.5, view.focal * 1.5 / np.maximum(rows, 0.5), 900.0)
    depth = canvas.depths[objects]
    return np.where(objects == GROUND, np.minimum(plane, 900.0)[:, None], np.minimum(depth, 900.0)).astype(np.float32)


def _headlights(view: View, depth: np.ndarray, ground: np.ndarray) -> np.ndarray:
    across = (np.arange(view.width, dtype=np.float32) + 0.5 - view.width / 2) / view.focal
    up = (view.horizon - np.arange(view.height, dtype=np.float32) - 0.5) / view.focal
    upwards = np.where(up > -0.005, 0.10 + 0.9 * np.exp(-np.maximum(up, 0) / 0.03), 1.0)
    beam = np.exp(-((across / 0.42) ** 2))[None, :] * upwards[:, None]
    received = 70.0 / np.maximum(depth, 4.0) ** 2 * np.exp(-depth / 30.0)
    return np.asarray(beam * received * np.where(ground, 0.75, 1.0), np.float32)


def _texture(view: View, depth: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Return the ground's brightness: grain, fixed in the world, and shadows."""
    first = min(max(int(view.horizon) + 2, 0), view.height - 1)
    result = np.ones(depth.shape, np.float32)
    across = (np.arange(view.width, dtype=np.float32) + 0.5 - view.width / 2) / view.focal
    rows = depth[first:]
    c, s = math.cos(view.heading), math.sin(view.heading)
    right = rows * across
    x = view.position[0] + c * rows + s * right
    y = view.position[1] + s * rows - c * right
    grain = _grain()[(x * 12).astype(np.int32) & 255, (y * 12).astype(np.int32) & 255]
    result[first:] += grain * (0.055 * np.exp(-rows / 22.0))
    shadow = np.asarray(canvas.shadow.filter(ImageFilter.BoxBlur(1)), np.float32)
    return result * (1.0 - shadow * (0.62 / 255))


@functools.cache
def _clouds() -> np.ndarray:
    """Return clouds as brightness (192, 4096) around 0, the lowest row first; the left end meets the right."""
    rng, total = np.random.default_rng(9), np.zeros((192, 4096), np.float32)
    for rows, columns, weight in ((5, 14, 0.5), (10, 36, 0.35), (22, 90, 0.22), (48, 220, 0.12)):
        cells = rng.integers(0, 255, (rows, columns), dtype=np.uint8)
        cells = np.concatenate([cells, cells[:, :1]], axis=1)
        part = Image.fromarray(cells).resize((4096, 192), Image.Resampling.BICUBIC)
        total += weight * (np.asarray(part, np.float32) - 127) / 90
    return total


def _sky(view: View, air: Atmosphere, rows: int) -> np.ndarray:
    """Return the upper rows of the picture (rows, width, 3) with only sky."""
    lift = np.maximum(view.horizon - np.arange(rows, dtype=np.float32), 0.0)
    up = np.clip(lift / (0.45 * view.height), 0, 1)[:, None] ** 0.7
    haze = 1.0 - math.exp(-240.0 / air.reach)
    colour = (np.array(air.horizon) * (1 - up) + np.array(air.zenith) * up) * (1 - haze) + air.veil * haze
    picture = np.repeat(colour.astype(np.float32)[:, None], view.width, axis=1)
    if air.clouds and haze < 0.99:
        clouds = _clouds()
        columns = (np.arange(view.width) - round(view.heading * 4096 / (2 * math.pi))) % 4096
        part = clouds[np.minimum(lift.astype(int), 191)[:, None], columns]
        strength = air.clouds * (1 - haze) * np.clip(lift / 30, 0, 1)[:, None]
        picture += (np.clip(part, -0.25, 1.0) * strength)[..., None] * (0.45 * np.array(air.horizon, np.float32))
    return picture


def _add_lamps(lamps: list[LitLamp], objects: np.ndarray, air: Atmosphere, focal: float) -> np.ndarray:
    """Return the light (height, width, 3) of visible lamps: a core and a halo each, and reflections on a wet road.

    A lamp behind another object of the object map (height, width) adds nothing.
    """
    height, width = objects.shape
    layer = np.zeros((height, width, 3), np.float32)
    for lamp in lamps:
        x, y = int(lamp.column), int(lamp.row)
        if not (0 <= x < width and 0 <= y < height):
            continue
        window = objects[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        strength = air.glow * lamp.power * math.exp(-lamp.depth / air.reach)
        if strength < 0.02 or not (window == lamp.owner).any():
            continue
        core = max(lamp.radius * focal / lamp.depth, 0.6)
        strength *= 150.0
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
    """Add the reflection of a lamp on the wet road, a streak towards the camera."""
    top = min(int(lamp.row + focal / lamp.depth), layer.shape[0])
    bottom = min(top + int(500 / lamp.depth) + 4, layer.shape[0])
    left, right = max(int(lamp.column - size), 0), min(int(lamp.column + size) + 1, layer.shape[1])
    if top < bottom and left < right:
        fade = np.linspace(1, 0, bottom - top, dtype=np.float32)[:, None, None]
        layer[top:bottom, left:right] += fade * np.array(lamp.colour, np.float32) * (strength / 255)


def _add_rain(picture: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Return a picture (height, width, 3) seen through rain; ``amount`` is from 0 to 1."""
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
