"""The numbers of each word: its shape, its box, the box of its segment, and its place in the segment. numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmkeras.media.document.page import Page
from mmkeras.media.document.shapes import SHAPES, shapes_of
from mmkeras.media.text.characters import words

__all__ = ["BOX", "FEATURES", "cleaned", "features_of"]

BOX = SHAPES
"""Position of the first of four sides of the word's box; the four of its segment follow."""
FEATURES = SHAPES + 8 + 2
"""Numbers of a word; the last two are 1 for the first and the last word of a segment."""


def features_of(page: Page, frame: str) -> np.ndarray:
    """Return the numbers of all words of a page, float32 (n, FEATURES), all from 0 to 1.

    Boxes are relative to the page, or with the frame ``words`` to the rectangle around all words.
    """
    boxes = page.boxes
    if frame == "words":
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        boxes = (boxes - np.tile(low, 2)) / np.tile(np.maximum(high - low, 1e-6), 2)
    around = np.empty_like(boxes)
    count = int(page.segments.max()) + 1
    for sides, ufunc, start in ((slice(0, 2), np.minimum, 1.0), (slice(2, 4), np.maximum, 0.0)):
        of_segment = np.full((count, 2), start)
        ufunc.at(of_segment, page.segments, boxes[:, sides])
        around[:, sides] = of_segment[page.segments]
    changes = page.segments[1:] != page.segments[:-1]
    ends = np.stack([np.r_[True, changes], np.r_[changes, True]], axis=1)
    return np.concatenate([shapes_of(page.words), boxes, around, ends], axis=1).astype(np.float32)


def cleaned(texts: Sequence[str], lowercase: bool) -> list[str]:
    """Return each text as cleaned words with blanks between them, the units of WordPiece; empty if none are left."""
    return [" ".join(words(text, lowercase)) for text in texts]
