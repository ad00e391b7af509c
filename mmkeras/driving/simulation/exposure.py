"""Exposes a painted canvas: light, air, sky and noise turn colours into a photograph.

Per pixel, with its distance z: ``colour * light(z) * exp(-z / reach) + air * (1 - exp(-z / reach))``, plus lamps,
streaks, drops and sensor noise. The distance of an object is that of its centre; the ground's follows from the row.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from PIL import Image, ImageFilter

from mmkeras.driving.simulation.camera import View
from mmkeras.driving.simulation.canvas import GROUND, SKY, Canvas
from mmkeras.driving.simulation.lens import add_lamps, add_rain
from mmkeras.driving.simulation.weather import Atmosphere

__all__ = ["expose"]

BLOCK = 32
"""Rows that are worked on at a time: more would leave the processor's cache."""


@functools.cache
def _noise() -> np.ndarray:
    return np.random.default_rng(7).standard_normal(1 << 21, dtype=np.float32)


@functools.cache
def _grain() -> np.ndarray:
    """Return a texture (256, 256) in int8 around 0 that repeats: fine grain upon larger blotches."""
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
        picture += add_lamps(canvas.lamps, objects, air, view.focal)
    if air.rain:
        picture = add_rain(picture, air.rain, rng)
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
    beam = (
        np.exp(-((across / 0.42) ** 2))[None, :]
        * np.where(up > -0.005, 0.10 + 0.9 * np.exp(-np.maximum(up, 0) / 0.03), 1.0)[:, None]
    )
    received = 70.0 / np.maximum(depth, 4.0) ** 2 * np.exp(-depth / 30.0)
    return np.asarray(beam * received * np.where(ground, 0.75, 1.0), np.float32)


def _texture(view: View, depth: np.ndarray, canvas: Canvas) -> np.ndarray:
    """Return the ground's brightness: grain that stays in its place in the world, and shadows."""
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
    """Return the upper rows of the picture (rows, width, 3) as if there were only sky."""
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
