"""Pictures of coloured shapes with a question each, generated: every answer needs the picture and the question."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["COLOURS", "SHAPES", "write_table"]

COLOURS = {"red": (220, 50, 40), "green": (50, 190, 60), "blue": (50, 70, 220), "yellow": (220, 210, 50)}
SHAPES = ("circle", "square", "triangle")
HEIGHT, WIDTH = 48, 60
"""Pixels of a picture; the model takes fewer, so that the host has to scale, and not alike in both directions."""
_TAILS = ("", "", "", " in this picture", " that you can see on the picture in front of you")
"""The last one is longer than the model's token limit."""
_SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}


def write_table(folder: Path, rows: int, seed: int = 0) -> Path:
    """Write pictures and the CSV file that lists them, and return its path.

    Args:
        folder: where to; it exists.
        rows: pictures, each with one question; 60 % are the training split, 15 % validation, 25 % test.
        seed: of pictures and questions.
    """
    rng = np.random.default_rng(seed)
    splits = [name for name, share in _SHARES.items() for _ in range(math.ceil(share * rows))][:rows]
    table = folder / "table.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["picture", "question", "answer", "side", "asked"])
        for row, split in enumerate(splits):
            colour, shape = str(rng.choice(list(COLOURS))), str(rng.choice(SHAPES))
            _draw(rng, colour, shape).save(folder / f"{row}.png")
            question, answer, asked = _ask(rng, colour, shape)
            writer.writerow([f"{row}.png", question, answer, split, asked])
    return table


def _draw(rng: np.random.Generator, colour: str, shape: str) -> Image.Image:
    """Return a shape of varied size, place and shade on a noisy ground."""
    ground = rng.integers(0, 90, 3)
    pixels = np.clip(ground + rng.integers(-25, 26, (HEIGHT, WIDTH, 3)), 0, 255).astype("uint8")
    image = Image.fromarray(pixels)
    radius = float(rng.uniform(10, 19))
    x, y = (rng.uniform(radius + 1, side - radius - 1) for side in (WIDTH, HEIGHT))
    shade = rng.integers(-30, 31, 3)
    fill = tuple(int(value) for value in np.clip(np.array(COLOURS[colour]) + shade, 0, 255))
    pen = ImageDraw.Draw(image)
    if shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    elif shape == "square":
        half = 0.85 * radius
        pen.rectangle((x - half, y - half, x + half, y + half), fill=fill)
    else:
        pen.polygon([(x, y - radius), (x - radius, y + 0.8 * radius), (x + radius, y + 0.8 * radius)], fill=fill)
    return image


def _ask(rng: np.random.Generator, colour: str, shape: str) -> tuple[str, str, str]:
    """Return a question with capitals here and there, its answer, and what it asks for."""
    kind = rng.integers(4)
    tail = _TAILS[rng.integers(len(_TAILS))]
    if kind == 0:
        question, answer, asked = f"what color is the shape{tail}?", colour, "color"
    elif kind == 1:
        question, answer, asked = f"what shape is it{tail}?", shape, "shape"
    elif kind == 2:
        named = colour if rng.random() < 0.5 else str(rng.choice(list(COLOURS)))
        question, answer, asked = f"is the shape {named}{tail}?", "yes" if named == colour else "no", "yes or no"
    else:
        named = shape if rng.random() < 0.5 else str(rng.choice(SHAPES))
        question, answer, asked = f"is it a {named}{tail}?", "yes" if named == shape else "no", "yes or no"
    if rng.random() < 0.3:
        question = " ".join(word.capitalize() for word in question.split())
    return question, answer, asked
