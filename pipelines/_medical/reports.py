"""Generated reports with tagged words and a drawn picture of the finding: benign, malignant, or other words.

A report names a finding in one of many ways; whether it is benign or malignant only the picture shows. In a third of
the reports the words tell it, so that a model without pictures knows more than nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.storage.files import write_text

__all__ = ["write_reports"]

_REPORTS, _SIDE = 400, 64
_PLACES = ("left lobe", "right lobe", "liver", "upper pole", "left breast", "kidney")
_FINDINGS = ("mass", "nodule", "lesion", "round mass", "small nodule", "focal lesion")
_WORDS = {"benign": "smooth", "malignant": "spiculated"}
_FORMS = (
    "there is a {finding} in the {place}",
    "{place} shows a {finding} of {size} mm",
    "follow up of the {finding} in the {place} is advised",
    "no change of the {place} . {finding} of {size} mm",
)
_NOTHING = ("the {place} is normal", "no mass in the {place}", "unremarkable {place} , no nodule")


def write_reports(folder: Path) -> None:
    """Write ``reports.jsonl`` (report, tags, picture, patient) and the pictures."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(_REPORTS):
        kind = str(rng.choice(["benign", "malignant", "none"], p=[0.4, 0.4, 0.2]))
        place, size = str(rng.choice(_PLACES)), int(rng.integers(3, 40))
        finding = str(rng.choice(_FINDINGS))
        if kind != "none" and rng.random() < 1 / 3:
            finding = f"{_WORDS[kind]} {finding}"
        form = str(rng.choice(_NOTHING if kind == "none" else _FORMS))
        words, tags = [], []
        for part in form.split():
            said = part.format(finding=finding, place=place, size=size).split()
            words += said
            tags += [kind if part == "{finding}" else "O"] * len(said)
        picture = f"{number:04d}.png"
        _draw(kind, rng).save(folder / picture)
        patient = f"P{number // 2:03d}"
        rows.append({"report": " ".join(words), "tags": " ".join(tags), "picture": picture, "patient": patient})
    write_text(folder / "reports.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def _draw(kind: str, rng: np.random.Generator) -> Image.Image:
    """Return a bright finding on tissue: round if benign, with spikes if malignant."""
    pixels = rng.normal(90, 14, (_SIDE, _SIDE))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x, y = (int(each) for each in rng.integers(20, _SIDE - 20, 2))
    radius = int(rng.integers(7, 11))
    if kind == "malignant":
        for angle in rng.uniform(0, 2 * np.pi) + np.arange(0, 2 * np.pi, np.pi / 5):
            tip = (x + 2.0 * radius * np.cos(angle), y + 2.0 * radius * np.sin(angle))
            draw.line(((x, y), tip), fill=215, width=2)
    if kind != "none":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=215)
    return image
