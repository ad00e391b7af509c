"""Drawn traffic signs in the official layout of GTSRB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from mmkeras.data.sources.gtsrb import CLASSES

__all__ = ["draw_sign", "write_signs"]

SHOWN = (1, 2, 5, 7, 13, 14, 33, 38)
"""The classes of the set by their numbers: four speed limits, give way, stop, and two arrows."""
HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
_SIDE = 128
_RED, _BLUE, _WHITE, _BLACK = (190, 30, 40), (30, 80, 170), (235, 235, 230), (20, 20, 20)


def write_signs(folder: Path, tracks: int = 18, frames: int = 6, seed: int = 0) -> None:
    """Write tracks of drawn signs: the sign grows from 24 to 72 pixels, its place and light differ by track."""
    rng = np.random.default_rng(seed)
    for number in SHOWN:
        place = folder / "GTSRB" / "Final_Training" / "Images" / f"{number:05d}"
        place.mkdir(parents=True)
        lines = [HEADER]
        for track in range(tracks):
            scene = _scene(rng)
            for frame in range(frames):
                side = int(24 * 3 ** (frame / (frames - 1)) + rng.integers(0, 3))
                name = f"{track:05d}_{frame:05d}.ppm"
                _seen(draw_sign(number), scene, side, rng).save(place / name)
                lines.append(f"{name};{side};{side};3;3;{side - 3};{side - 3};{number}")
        (place / f"GT-{number:05d}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_sign(number: int) -> Image.Image:
    """Return a sign on a transparent ground, 128 pixels wide; speed limits and the other classes of `SHOWN`."""
    image = Image.new("RGBA", (_SIDE, _SIDE))
    draw = ImageDraw.Draw(image)
    name = CLASSES[number]
    if name.endswith("km/h"):
        draw.ellipse((4, 4, 124, 124), fill=_RED)
        draw.ellipse((20, 20, 108, 108), fill=_WHITE)
        _write(draw, name.split()[0], 58 if name.startswith("1") else 68, _BLACK)
    elif name == "give way":
        draw.polygon(((2, 12), (126, 12), (64, 122)), fill=_RED)
        draw.polygon(((28, 28), (100, 28), (64, 94)), fill=_WHITE)
    elif name == "stop":
        draw.regular_polygon((64, 64, 62), 8, 22, fill=_RED)
        _write(draw, "STOP", 42, _WHITE)
    else:
        draw.ellipse((4, 4, 124, 124), fill=_BLUE)
        # Down and to the right past an island, or a bend to the right.
        line = ((34, 34), (86, 86)) if name == "keep right" else ((40, 104), (40, 60), (84, 60))
        draw.line(line, fill=_WHITE, width=14, joint="curve")
        tip = ((100, 62), (100, 100), (62, 100)) if name == "keep right" else ((80, 36), (112, 60), (80, 84))
        draw.polygon(tip, fill=_WHITE)
    return image


def _write(draw: ImageDraw.ImageDraw, text: str, size: int, colour: tuple[int, int, int]) -> None:
    draw.text((64, 64), text, fill=colour, anchor="mm", font=ImageFont.load_default(size), stroke_width=2)


def _scene(rng: np.random.Generator) -> Image.Image:
    """Return a background of soft patches in the light of the track."""
    light = rng.uniform(0.25, 1.0)
    patches = (light * rng.integers(40, 230, (6, 6, 3))).astype(np.uint8)
    return Image.fromarray(patches).resize((_SIDE + 40, _SIDE + 40), Image.Resampling.BICUBIC)


def _seen(sign: Image.Image, scene: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """Return the sign before its background, turned a little, in the light of the scene, with blur and noise."""
    left, top = rng.integers(0, 40, 2)
    ground = scene.crop((left, top, left + _SIDE, top + _SIDE))
    light = np.asarray(ground, np.float32).mean() / 150
    turned = sign.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC).resize((104, 104))
    colours = np.asarray(turned, np.float32)
    colours[..., :3] *= min(1.0, light + 0.2)
    turned = Image.fromarray(colours.clip(0, 255).astype(np.uint8))
    ground.paste(turned, (12 + int(rng.integers(-6, 7)), 12 + int(rng.integers(-6, 7))), turned)
    small = ground.resize((side, side), Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8)))
    noisy = np.asarray(small, np.float32) + rng.normal(0, 4, (side, side, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
