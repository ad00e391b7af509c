"""Light and weather: turns painted colours into a photograph.

Per pixel, with its distance z: ``colour * light(z) * exp(-z / reach) + air * (1 - exp(-z / reach))``, plus lamps, streaks,
drops and sensor noise.

- Day: the shading of the faces; the sun throws shadows.
- Dusk: a third of the light, warm sky, lamps on.
- Night: a fiftieth of the light; one's own headlights fall with the square of the distance and end about 25 m ahead, so
  that what stands beyond shows by its tail lights at best. The sensor's gain makes noise.
- Fog: contrast falls to 5 % within 18 to 34 m; headlights whiten it at night.
- Rain: streaks, a blurred picture with drops on the lens, less light and a reach of 60 to 110 m.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mmkeras.simulation.camera import GROUND, SKY, Canvas, LitLamp, Shading, View
from mmkeras.simulation.conditions import Conditions

__all__ = ["Atmosphere", "atmosphere", "expose"]


@dataclass(frozen=True)
class Atmosphere:
    """The light and the air of one scene."""

    shading: Shading
    """Light on faces."""
    zenith: tuple[float, float, float]
    """Colour of the sky above, RGB 0 to 255."""
    horizon: tuple[float, float, float]
    """Colour of the sky at the horizon."""
    clouds: float
    """Contrast of the clouds, 0 to 1."""
    reach: float
    """Distance in metres at which contrast has fallen to 1/e."""
    air: tuple[float, float, float]
    """Colour of fog and haze."""
    headlights: float
    """Brightness of one's own headlights; 0 is off."""
    glow: float
    """Brightness of lamps; 0 is off."""
    noise: float
    """Standard deviation of the sensor's noise, of 255."""
    rain: float
    """0 to 1."""
    wet: bool
    """The road mirrors lamps."""

    @property
    def lamps_on(self) -> bool:
        """Vehicles and street lamps are lit."""
        return self.glow > 0


def atmosphere(conditions: Conditions, rng: np.random.Generator) -> Atmosphere:
    """Return the light and the air of a scene."""
    night, dusk = conditions.time_of_day == "night", conditions.time_of_day == "dusk"
    fog, rain = conditions.weather == "fog", conditions.weather == "rain"
    elevation = math.radians(rng.uniform(9, 20) if dusk else rng.uniform(25, 62))
    azimuth = rng.uniform(-math.pi, math.pi)
    flat = math.cos(elevation)
    sun = np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])
    shine = conditions.sunny
    exposure = rng.uniform(0.85, 1.12)
    if night:
        shading = Shading(np.zeros(3), 0.0, 0.55, 0.5)
        zenith, horizon = (5.0, 6.0, 12.0), (20.0, 19.0, 24.0)
    elif dusk:
        shading = Shading(sun * shine, 0.22 * exposure * shine, (0.30 + 0.06 * (not shine)) * exposure, 0.05)
        zenith, horizon = (
            ((62.0, 74.0, 112.0), (208.0, 140.0, 96.0))
            if not rain and not fog
            else ((70.0, 74.0, 88.0), (104.0, 100.0, 104.0))
        )
    else:
        shading = Shading(
            sun * shine, 0.55 * exposure * shine, (0.62 + 0.28 * (not shine)) * exposure * (0.8 if rain else 1.0), 0.06
        )
        grey = 168.0 if rain else 205.0
        zenith, horizon = (
            ((104.0, 148.0, 206.0), (206.0, 220.0, 232.0))
            if shine
            else ((grey, grey + 4, grey + 10), (grey + 22, grey + 24, grey + 26))
        )
    reach = rng.uniform(18, 34) / 3 if fog else rng.uniform(60, 110) / 3 * 1.4 if rain else rng.uniform(250, 500)
    level = 0.06 if night else 0.42 if dusk else 1.0
    air = (
        (196.0 * level, 200.0 * level, 206.0 * level)
        if fog or rain
        else (horizon[0] * 0.9, horizon[1] * 0.9, horizon[2] * 0.92)
    )
    return Atmosphere(
        shading=shading, zenith=zenith, horizon=horizon, clouds=0.0 if fog else float(rng.uniform(0.1, 0.7)),
        reach=float(reach), air=air, headlights=1.0 if night else 0.25 if dusk else 0.0,
        glow=1.0 if night else 0.6 if dusk else 0.3 if fog or rain else 0.0,
        noise=float(rng.uniform(5.0, 8.0)) if night else 3.2 if dusk else 1.8,
        rain=float(rng.uniform(0.5, 1.0)) if rain else 0.0, wet=rain,
    )  # fmt: skip


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
    objects = np.asarray(canvas.map)
    colour = np.asarray(canvas.colours.reduce(2), np.float32)
    depth = _depth(canvas, objects)
    ground = objects == GROUND
    light = np.ones(objects.shape, np.float32)
    if air.headlights:
        ambient = 0.025 if air.headlights == 1.0 else 1.0
        light = ambient + air.headlights * _headlights(view, depth, ground)
        light = np.where(light < 0.6, light, 1.2 - 0.36 / np.maximum(light, 0.6))
    light = np.where(ground, light * _texture(view, depth, canvas), light)
    clear = np.exp(depth * (-1.0 / air.reach))
    light *= clear
    picture = colour * light[..., None]
    scatter = (1.0 - clear)[..., None]
    veil = np.array(air.air, np.float32)
    if air.headlights == 1.0 and air.reach < 15:
        veil = veil + 26.0
    picture += scatter * veil
    sky = objects == SKY
    if sky.any():
        picture[sky] = _sky(view, air, sky)
    if canvas.lamps:
        picture += _glow(canvas.lamps, objects, air)
    if air.rain:
        picture = _rain(picture, air.rain, rng)
    start = int(rng.integers(_noise().size - picture.size))
    noise = _noise()[start : start + picture.size].reshape(picture.shape)
    picture += air.noise * noise
    return np.clip(picture, 0, 255).astype(np.uint8)


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


def _sky(view: View, air: Atmosphere, sky: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(sky)
    up = np.clip((view.horizon - rows) / (0.45 * view.height), 0, 1)[:, None] ** 0.7
    colour = np.array(air.horizon) * (1 - up) + np.array(air.zenith) * up
    if air.clouds:
        turn = view.heading * view.focal
        grain = _grain()
        x = ((columns - turn) * 0.35).astype(int) & 255
        lift = np.maximum(view.horizon - rows, 0.0)
        cloud = (
            grain[x, (lift * 0.9).astype(int) & 255] * 0.2 + grain[(x // 6) & 255, (lift / 3).astype(int) & 255] * 0.5
        )
        colour = colour + (air.clouds * np.clip(cloud, -0.3, 1.0) * 0.22)[:, None] * np.array(air.horizon)
    haze = 1.0 - math.exp(-240.0 / air.reach)
    return np.asarray(colour * (1 - haze) + np.array(air.air) * haze, np.float32)


def _glow(lamps: list[LitLamp], objects: np.ndarray, air: Atmosphere) -> np.ndarray:
    height, width = objects.shape
    layer = np.zeros((height, width, 3), np.float32)
    for lamp in lamps:
        x, y = int(lamp.column), int(lamp.row)
        if not (0 <= x < width and 0 <= y < height):
            continue
        window = objects[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        if not (window == lamp.owner).any():
            continue
        core = max(lamp.radius * 402.0 / lamp.depth, 0.6)
        clear = math.exp(-lamp.depth / air.reach)
        strength = air.glow * lamp.power * clear * 150.0
        _blot(layer, lamp, core, min(strength * 1.4, 400.0))
        _blot(layer, lamp, core * 3.5 + 1.5, strength * 0.12)
        if air.wet and lamp.power > 0.5:
            _smear(layer, lamp, core, strength * 0.10)
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


def _smear(layer: np.ndarray, lamp: LitLamp, size: float, strength: float) -> None:
    """Mirror a lamp in the wet road as a streak towards the camera."""
    top = min(int(lamp.row + 402.0 / lamp.depth), layer.shape[0])
    bottom = min(top + int(500 / lamp.depth) + 4, layer.shape[0])
    left, right = max(int(lamp.column - size), 0), min(int(lamp.column + size) + 1, layer.shape[1])
    if top < bottom and left < right:
        fade = np.linspace(1, 0, bottom - top, dtype=np.float32)[:, None, None]
        layer[top:bottom, left:right] += fade * np.array(lamp.colour, np.float32) * (strength / 255)


def _rain(picture: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    height, width = picture.shape[:2]
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(0.5 + 0.5 * amount)
    )
    drops = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(drops)
    for _ in range(rng.poisson(7 * amount)):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 16)
        draw.ellipse([x - r, y - r, x + r, y + 1.25 * r], fill=210)
    smooth = image.reduce(4).filter(ImageFilter.GaussianBlur(1.6)).resize((width, height), Image.Resampling.BILINEAR)
    image.paste(smooth, (0, 0), drops.filter(ImageFilter.BoxBlur(2)))
    streaks = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(streaks)
    slant = rng.uniform(-0.15, 0.15)
    for _ in range(int(170 * amount)):
        x, y, length = rng.uniform(0, width), rng.uniform(-20, height), rng.uniform(8, 26)
        draw.line([x, y, x + slant * length, y + length], fill=int(rng.integers(20, 70)))
    level = float(picture.mean()) / 110 + 0.15
    return np.asarray(image, np.float32) + (np.asarray(streaks, np.float32) * min(level, 1.0))[..., None]
