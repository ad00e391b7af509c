"""Small pages with a date and a total in changing places, and their tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.toys.tables import SIDES, picture

__all__ = ["page", "write_pages"]


def page(rng: np.random.Generator, repeat: int = 1) -> tuple[dict[str, Any], list[str]]:
    """Return a page with its tags; ``repeat`` puts several below each other."""
    words: list[str] = []
    tags: list[str] = []
    boxes: list[list[float]] = []
    for block in range(repeat):
        rows = [
            (["Date", f"{rng.integers(1, 29)}", str(rng.choice(["May", "June"]))], ["O", "B-date", "I-date"]),
            (["Total", f"{rng.integers(1, 99)}.{rng.integers(10, 99)}"], ["O", "B-total"]),
            (["thank", "you"], ["O", "O"]),
        ]
        for line, number in enumerate(rng.permutation(len(rows))):
            y = 10 + 60 * block + 20 * line
            for place, (word, tag) in enumerate(zip(*rows[number], strict=True)):
                words.append(word)
                tags.append(tag)
                boxes.append([10 + 40 * place, y, 45 + 40 * place, y + 12])
    return {"width": 200, "height": 80 + 60 * repeat, "words": words, "boxes": boxes}, tags


def write_pages(folder: Path, rows: int = 96) -> Path:
    """Write a table of pages with pictures, half of which are missing."""
    rng = np.random.default_rng(0)
    lines = []
    for row in range(rows):
        value, tags = page(rng)
        cells = {"page": json.dumps(value), "tags": " ".join(tags), "side": SIDES[row % 4]}
        lines.append(json.dumps({**cells, "picture": picture(folder / f"{row}.png", "red", row)}))
    path = folder / "pages.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
