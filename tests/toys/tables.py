"""Tables of red and blue pictures for toys; a quarter is the test split, a quarter validation."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.media.clips.films import write_film

__all__ = [
    "moving",
    "picture",
    "write_matches",
    "write_clips",
    "write_pairs",
    "write_patients",
    "write_scenes",
    "write_signals",
]

SIDES = ("train", "train", "validation", "test")


def picture(path: Path, colour: str, seed: int) -> str:
    """Write a dark picture with a square of a colour and return its name."""
    pixels = np.random.default_rng(seed).integers(0, 60, (32, 32, 3)).astype("uint8")
    pixels[8:24, 8:24, 0 if colour == "red" else 2] = 250
    Image.fromarray(pixels).save(path)
    return path.name


def write_pairs(folder: Path, rows: int = 96) -> Path:
    """Write pairs of pictures; the answer is whether both have one colour."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        colours = rng.choice(("red", "blue"), 2)
        names = [
            picture(folder / f"{row}{side}.png", str(colour), row) for side, colour in zip("lr", colours, strict=True)
        ]
        lines.append([*names, "same" if colours[0] == colours[1] else "other", SIDES[row % 4]])
    return _write(folder, ["first", "second", "answer", "side"], lines)


def write_matches(folder: Path, rows: int = 96) -> Path:
    """Write pictures with captions; the answer names what belongs together, the pictures and captions of a colour."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        colour = str(rng.choice(("red", "blue")))
        name = picture(folder / f"{row}.png", colour, row)
        lines.append([name, f"a {colour} square", colour, SIDES[row % 4]])
    return _write(folder, ["picture", "caption", "answer", "side"], lines)


def write_patients(folder: Path, rows: int = 96) -> Path:
    """Write pictures with an age, a day and a ward, some of them missing; the answer is yes for a red old patient."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        colour, age, ward = (
            str(rng.choice(("red", "blue"))),
            int(rng.integers(20, 80)),
            str(rng.choice(("A", "B", "7"))),
        )
        name = picture(folder / f"{row}.png", colour, row)
        answer = "yes" if colour == "red" and age > 50 else "no"
        day = f"2024-0{1 + row % 9}-1{row % 10}"
        cells = [cell if rng.random() > 0.1 else "" for cell in (str(age), day, ward)]
        lines.append([name, *cells, answer, SIDES[row % 4]])
    return _write(folder, ["picture", "age", "seen on", "ward", "answer", "side"], lines)


def write_signals(folder: Path, rows: int = 96) -> Path:
    """Write pictures with a signal that rises or falls, with gaps; the answer is yes for a red one that rises."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        colour, rises = str(rng.choice(("red", "blue"))), bool(rng.integers(2))
        steps = np.linspace(0, 10 if rises else -10, int(rng.integers(20, 30))) + rng.normal(50, 5)
        steps += rng.normal(0, 0.5, len(steps))
        cells = [f"{step:.3f}" if rng.random() > 0.1 else "NA" for step in steps]
        name = picture(folder / f"{row}.png", colour, row)
        lines.append([name, " ".join(cells), "yes" if colour == "red" and rises else "no", SIDES[row % 4]])
    return _write(folder, ["picture", "signal", "answer", "side"], lines)


def moving(to_left: bool, seed: int, frames: int = 8) -> list[np.ndarray]:
    """Return frames of a red square that moves left or right."""
    rng = np.random.default_rng(seed)
    shown = []
    for number in range(frames):
        pixels = rng.integers(0, 60, (32, 32, 3)).astype("uint8")
        left = 2 + 20 * number // frames
        left = 22 - left if to_left else left
        pixels[10:22, left : left + 8, 0] = 250
        shown.append(pixels)
    return shown


def write_clips(folder: Path, rows: int = 48) -> Path:
    """Write clips of a moving square, files and folders in turn, with a statement; the answer is whether it is true.

    Row 3 is a video file that holds something else.
    """
    rng = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        to_left, said_left = (bool(value) for value in rng.integers(0, 2, 2))
        name = f"{row}.mp4" if row % 2 else f"clip{row}"
        if row % 2:
            write_film(folder / name, moving(to_left, row))
        else:
            (folder / name).mkdir()
            for number, pixels in enumerate(moving(to_left, row)):
                Image.fromarray(pixels).save(folder / name / f"{number}.png")
        if row == 3:
            (folder / name).write_bytes(b"no video")
        said = f"it moves to the {'left' if said_left else 'right'}"
        lines.append([name, said, "yes" if to_left == said_left else "no", SIDES[row // 2 % 4]])
    return _write(folder, ["clip", "statement", "answer", "side"], lines)


def write_scenes(folder: Path, rows: int = 64) -> Path:
    """Write pictures of a red or blue square somewhere, with its mask (1 red, 2 blue), place, caption and tags."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        red, (top, left) = bool(rng.integers(2)), rng.integers(0, 20, 2)
        pixels = rng.integers(0, 60, (32, 32, 3)).astype("uint8")
        mask = np.zeros((32, 32), "uint8")
        pixels[top : top + 12, left : left + 12, 0 if red else 2] = 250
        mask[top : top + 12, left : left + 12] = 1 if red else 2
        Image.fromarray(pixels).save(folder / f"{row}.png")
        Image.fromarray(mask).save(folder / f"mask{row}.png")
        colour = "red" if red else "blue"
        place = [f"{(left + 6) / 32:.3f}", f"{(top + 6) / 32:.3f}"]
        names = [f"{row}.png", str(folder / f"mask{row}.png"), str(folder / f"{row}.png")]
        lines.append([*names, f"a {colour} square", f"O {colour} thing", colour, *place, SIDES[row % 4]])
    return _write(folder, ["picture", "mask", "whole", "caption", "tags", "colour", "x", "y", "side"], lines)


def _write(folder: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> Path:
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *lines])
    return path
