"""A small generated set in the form of MedPix 2.0: drawn sections of five parts of the body, with short histories.

Drawing and history each leave two parts open, so that a model must read both.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.storage.files import write_text

__all__ = ["PARTS", "write_demo"]

PARTS = {
    "Head": ("skull", "dizziness"),
    "Thorax": ("ribs", "fever"),
    "Abdomen": ("trunk", "fever"),
    "Reproductive and Urinary System": ("trunk", "sharp pain"),
    "Spine and Muscles": ("ribs", "sharp pain"),
}
"""Drawing and complaint by location."""
_CASES, _SIZE = 240, 96
_OPENINGS = (
    "{age}-year-old {who} with {what}",
    "{who} of {age} presents with {what}",
    "{what}, {who}, {age}",
)


def write_demo(folder: Path) -> None:
    """Write ``images.jsonl``, ``cases.jsonl`` and ``images/``: two pictures of each of 240 cases."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    pictures, cases = [], []
    for number in range(_CASES):
        location = str(rng.choice(list(PARTS)))
        drawing, complaint = PARTS[location]
        age, sex, case = int(rng.integers(1, 90)), str(rng.choice(["male", "female"])), f"DEMO{number:04d}"
        who = {"male": "man", "female": "woman"}[sex]
        history = str(rng.choice(_OPENINGS)).format(age=age, who=who, what=complaint)
        cases.append({"U_id": case, "Case": {"History": history}})
        for view in range(2):
            device = str(rng.choice(["CT", "MR"]))
            name = f"{case}_{view}.png"
            _draw(drawing, device, rng).save(folder / "images" / name)
            facts = {"plane": "Axial", "type": device, "age": str(age), "sex": sex, "location_category": location}
            pictures.append({"case": case, "image": name, "split": "train", **facts})
    for name, rows in (("images.jsonl", pictures), ("cases.jsonl", cases)):
        write_text(folder / name, "".join(json.dumps(row) + "\n" for row in rows))


def _draw(kind: str, device: str, rng: np.random.Generator) -> Image.Image:
    """Return a section: an outline, bright as bone on a CT and dark on an MR, and what is inside."""
    bone, soft = (240, 90) if device == "CT" else (60, 170)
    image = Image.new("L", (_SIZE, _SIZE))
    draw = ImageDraw.Draw(image)
    x, y = (int(each) for each in rng.integers(-6, 7, 2) + _SIZE // 2)
    wide, high = (28, 34) if kind == "skull" else (40, 28)
    draw.ellipse((x - wide, y - high, x + wide, y + high), fill=soft, outline=bone, width=5 if kind == "skull" else 2)
    if kind == "ribs":
        for angle in np.linspace(0, 2 * np.pi, 9)[:-1]:
            left, top = x + 0.8 * wide * np.cos(angle), y + 0.8 * high * np.sin(angle)
            draw.ellipse((left - 3, top - 3, left + 3, top + 3), fill=bone)
        for side in (-1, 1):
            draw.ellipse((x + side * 18 - 10, y - 16, x + side * 18 + 10, y + 14), fill=20)
    elif kind == "trunk":
        for _ in range(6):
            left, top = x + float(rng.integers(-24, 25)), y + float(rng.integers(-14, 10))
            draw.ellipse((left - 6, top - 5, left + 6, top + 5), fill=int(rng.integers(60, 220)))
    pixels = np.asarray(image, np.float64) + rng.normal(0, 12, (_SIZE, _SIZE))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
