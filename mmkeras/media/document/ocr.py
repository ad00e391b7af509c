"""Reads the words of a picture by an OCR that the user names."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError, nearest, require
from mmkeras.media.document.order import reading_order

__all__ = ["OCRS", "read_picture", "words_of_lines"]

OCRS = ("rapidocr",)
"""Engines by name: rapidocr is the package rapidocr-onnxruntime (PP-OCR, Apache-2.0), which holds its weights."""
_LEAST = 0.5
"""Lines of a lower confidence are left out."""


def read_picture(picture: Any, ocr: str) -> dict[str, Any]:
    """Return the page of a picture, in the form that `mmkeras.media.document.page.read_page` reads.

    Lines are sorted into reading order, and divided into words at blanks; each line is a segment.

    Args:
        picture: a path, bytes, a Pillow image or an array, as `mmkeras.media.image.pixels.read_rgb` takes them.
        ocr: one of `OCRS`.

    Raises:
        DataError: an unknown OCR, a picture that cannot be read, or one without words.
        DependencyError: the package of the OCR is not installed.
    """
    if ocr not in OCRS:
        raise DataError(f"ocr: {ocr!r} is unknown; {nearest(str(ocr), OCRS)}")
    engine = _rapidocr()
    from mmkeras.media.image.pixels import read_rgb

    image = read_rgb(picture)
    found, _ = engine(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))
    lines = [(np.asarray(corners, np.float64), text) for corners, text, score in found or () if float(score) >= _LEAST]
    boxes = np.array([[*corners.min(axis=0), *corners.max(axis=0)] for corners, _ in lines]).reshape(-1, 4)
    words, sides, segments = words_of_lines([text for _, text in lines], boxes, reading_order(boxes))
    if not words:
        raise DataError(f"the OCR {ocr} has found no words in the picture {picture!r:.80}")
    sides = np.clip(sides, 0, np.tile(image.size, 2))
    return {
        "width": image.width,
        "height": image.height,
        "words": words,
        "boxes": sides.tolist(),
        "segments": segments,
    }


def words_of_lines(
    texts: list[str], boxes: np.ndarray, order: np.ndarray | None = None
) -> tuple[list[str], np.ndarray, list[int]]:
    """Divide lines into words at blanks; the box of a word is the share of its characters of the line's box.

    Args:
        texts: of the lines.
        boxes: of the lines, float64 (n, 4).
        order: positions of the lines in reading order; by default as given.

    Returns:
        Words, their boxes float64 (m, 4), and the number of each word's line in the reading order.
    """
    words: list[str] = []
    sides: list[tuple[float, float, float, float]] = []
    segments: list[int] = []
    for segment, line in enumerate(range(len(texts)) if order is None else order.tolist()):
        text, (left, top, right, bottom) = texts[line], boxes[line]
        at, width = 0, (right - left) / max(len(text), 1)
        for word in text.split():
            at = text.index(word, at)
            words.append(word)
            sides.append((left + at * width, top, left + (at + len(word)) * width, bottom))
            segments.append(segment)
            at += len(word)
    return words, np.array(sides, np.float64).reshape(-1, 4), segments


@lru_cache(maxsize=1)
def _rapidocr() -> Any:
    return require("rapidocr_onnxruntime", "ocr", "rapidocr-onnxruntime").RapidOCR()
