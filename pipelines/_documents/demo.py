"""A small generated set in the form of FUNSD-r: forms with questions, answers and headers, and their pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmkeras.storage.files import write_text

__all__ = ["draw_form", "write_demo"]

_FORMS, _WIDTH, _HEIGHT = 160, 480, 400
_HEADERS = ("ORDER FORM", "SAFETY REPORT", "LEAVE REQUEST", "SAMPLE SHEET")
_QUESTIONS = ("Name:", "Date:", "Department:", "Sent to:", "Total cost:", "Phone:", "Batch No.", "Approved by")
_NAMES = ("A. Miller", "Jane Roe", "K. Tanaka", "Li Wei", "P. Novak", "M. Silva")
_PLACES = ("Research", "Quality Control", "Plant 3", "Sales", "Room 12")
_NOTES = ("please print", "for office use only", "see back of page", "page 1")


def write_demo(folder: Path, forms: int = _FORMS) -> None:
    """Write ``words.jsonl`` and ``images/``."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(forms):
        name = f"form{number:03d}"
        row = {"doc": name, "image": f"{name}.png", **draw_form(rng, folder / "images" / f"{name}.png")}
        rows.append(json.dumps(row))
    write_text(folder / "words.jsonl", "\n".join(rows) + "\n")


def draw_form(rng: np.random.Generator, path: Path) -> dict[str, Any]:
    """Draw a form, and return its words with boxes, segments and tags.

    The same words are question and answer in different forms (``Plant 3`` fills a field, or heads a column), so that
    only their places tell.
    """
    image = Image.new("L", (_WIDTH, _HEIGHT), 245)
    draw = ImageDraw.Draw(image)
    words: list[dict[str, Any]] = []

    def write(text: str, x: float, y: float, label: str | None, size: float = 14.0) -> float:
        font = ImageFont.load_default(size)
        segment = words[-1]["segment"] + 1 if words else 0
        for place, word in enumerate(text.split()):
            left, top, right, bottom = draw.textbbox((x, y), word, font=font)
            draw.text((x, y), word, fill=20, font=font)
            bio = "O" if label is None else ("I-" if place else "B-") + label
            box = [float(side) for side in (left, top, right, bottom)]
            words.append({"text": word, "box": box, "segment": segment, "bio": bio})
            x = right + 0.35 * size
        return x

    write(str(rng.choice(_HEADERS)), 120.0 + int(rng.integers(-40, 60)), 14, "header", 20.0)
    y = 60.0
    for question in rng.permutation(_QUESTIONS)[: rng.integers(4, 8)].tolist():
        x = write(question, 20.0 + int(rng.integers(0, 12)), y, "question")
        below = bool(rng.random() < 0.3)
        place = (40.0, y + 20) if below else (max(x + 12, 150.0), y)
        write(_answer(question, rng), *place, "answer")
        y += 44 if below else 28
    write(str(rng.choice(_NOTES)), 300, _HEIGHT - 30, None, 11.0)
    image.save(path)
    return {"width": _WIDTH, "height": _HEIGHT, "words": words}


def _answer(question: str, rng: np.random.Generator) -> str:
    if question == "Date:":
        return f"{rng.integers(1, 29)}/{rng.integers(1, 13)}/{rng.integers(90, 99)}"
    if question == "Total cost:":
        return f"$ {rng.integers(1, 900)}.{rng.integers(10, 99)}"
    if question in ("Phone:", "Batch No."):
        return f"{rng.integers(100, 999)}-{rng.integers(1000, 9999)}"
    return str(rng.choice(_PLACES if question in ("Department:", "Sent to:") else _NAMES))
