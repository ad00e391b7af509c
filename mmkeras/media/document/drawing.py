"""Draws a page: its picture or its words, with the entities in the colours of their labels. Pillow and numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmkeras.media.canvas import class_colour

__all__ = ["Marked", "flowing_boxes", "tagged_page"]

Marked = tuple[int, int, str]
"""An entity: its first word, the word after its last one, and its label."""

_WIDTH, _TALLEST = 520, 900
_LETTER, _LINE, _EDGE = 7.0, 22.0, 10.0


def flowing_boxes(texts: Sequence[str], width: float = _WIDTH) -> tuple[np.ndarray, float]:
    """Return boxes float64 (n, 4) for words without a place, in lines of a width in pixels, and the height of all."""
    boxes, x, y = [], _EDGE, _EDGE
    for text in texts:
        wide = _LETTER * max(len(text), 1)
        if x + wide > width - _EDGE and x > _EDGE:
            x, y = _EDGE, y + _LINE
        boxes.append((x, y, min(x + wide, width - 1), y + 0.7 * _LINE))
        x += wide + _LETTER
    return np.array(boxes, np.float64), y + _LINE + _EDGE


def tagged_page(
    texts: Sequence[str],
    boxes: np.ndarray,
    size: tuple[float, float],
    entities: Sequence[Marked],
    picture: Image.Image | None = None,
) -> np.ndarray:
    """Return a page with a translucent box around the words of each entity, uint8 (H, W, 3), 520 pixels wide.

    A high page is drawn narrower, so that no page is higher than 900 pixels. Each entity has its label above it.

    Args:
        texts: n words, written into their boxes if there is no picture.
        boxes: of the words as shares of the page, (n, 4).
        size: width and height of the page, for its aspect ratio.
        entities: words and labels.
        picture: of the page.
    """
    width, height = picture.size if picture is not None else size
    scale = min(_WIDTH / width, _TALLEST / height)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    page = Image.new("RGB", (wide, high), "white")
    if picture is not None:
        page.paste(picture.convert("RGB").resize((wide, high), Image.Resampling.BILINEAR))
    draw = ImageDraw.Draw(page, "RGBA")
    places = boxes * [wide, high, wide, high]
    if picture is None:
        for text, (left, top, right, bottom) in zip(texts, places, strict=True):
            fitting = min((bottom - top) * 0.85, 1.7 * (right - left) / max(len(text), 1))
            draw.text((left, top), text, fill="#202020", font=ImageFont.load_default(max(5.0, fitting)))
    for start, stop, label in entities:
        colour = class_colour(label)
        for left, top, right, bottom in places[start:stop]:
            draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=colour + "40", outline=colour)
        if start < min(stop, len(places)):
            left, top = places[start, :2]
            draw.text((left, max(0.0, top - 9)), label, fill=colour, font=ImageFont.load_default(8.0))
    return np.asarray(page, np.uint8)
