"""A small generated set in the form of Flickr8k: two shapes on a ground, with five captions each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.storage.files import write_text

__all__ = ["COLOURS", "GROUNDS", "SHAPES", "write_demo"]

COLOURS = {"red": (200, 40, 40), "blue": (50, 80, 200), "green": (40, 150, 60), "yellow": (230, 200, 40)}
SHAPES = ("circle", "square", "triangle")
GROUNDS = {"sand": (215, 195, 150), "snow": (240, 240, 245), "night": (25, 25, 45)}
_SIDE = 96
_SAYINGS = (
    "a {c1} {s1} and a {c2} {s2} on {g}",
    "on {g} there is a {c2} {s2} beside a {c1} {s1}",
    "{c1} {s1} with a {c2} {s2}",
    "two shapes on {g} , a {s1} that is {c1} and a {s2}",
    "a {c2} {s2} next to a {s1} , {g}",
)


def write_demo(folder: Path, photos: int = 480, seed: int = 0) -> None:
    """Write ``captions.tsv`` and ``images/``: four fifths are the train split, the rest dev."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    lines = ["split\timage\tn\tcaption"]
    for number in range(photos):
        colours, shapes = rng.choice(list(COLOURS), 2), rng.choice(SHAPES, 2)
        ground = str(rng.choice(list(GROUNDS)))
        name = f"{number:04d}.png"
        _draw(colours, shapes, ground, rng).save(folder / "images" / name)
        words = {"c1": colours[0], "s1": shapes[0], "c2": colours[1], "s2": shapes[1], "g": ground}
        split = "dev" if number % 5 == 0 else "train"
        lines += [f"{split}\t{name}\t{n}\t{saying.format(**words)}" for n, saying in enumerate(_SAYINGS)]
    write_text(folder / "captions.tsv", "\n".join(lines) + "\n")


def _draw(colours: np.ndarray, shapes: np.ndarray, ground: str, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (_SIDE, _SIDE), GROUNDS[ground])
    draw = ImageDraw.Draw(image)
    for place, (colour, shape) in enumerate(zip(colours, shapes, strict=True)):
        size = float(rng.uniform(14, 19))
        x = _SIDE * (0.27 + 0.46 * place) + rng.uniform(-4, 4)
        y = _SIDE / 2 + rng.uniform(-22, 22)
        fill = COLOURS[str(colour)]
        box = (x - size, y - size, x + size, y + size)
        if shape == "circle":
            draw.ellipse(box, fill=fill)
        elif shape == "square":
            draw.rectangle(box, fill=fill)
        else:
            draw.polygon(((x, y - size), (x - size, y + size), (x + size, y + size)), fill=fill)
    pixels = np.asarray(image, np.float64) + rng.normal(0, 8, (_SIDE, _SIDE, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
