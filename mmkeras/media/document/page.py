"""A page as words with boxes, from JSON, a dict, or an object of its own.

The form is ``{"width": 762, "height": 1000, "words": ["Date:", "1/2/98"], "boxes": [[60, 90, 110, 104], ...]}``, with
``"segments": [0, 0, ...]`` if an OCR has found lines or blocks. A word may also be an object, ``{"text": "Date:",
"box": [60, 90, 110, 104], "segment": 0}``. ``{"picture": "receipt.png", "ocr": "rapidocr"}`` is read by an OCR. Boxes
are left, top, right and bottom in units of width and height. The order of the words is the reading order. numpy only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.media.document.order import lines_of
from mmkeras.media.text.characters import check_text

__all__ = ["LARGEST_FILE", "MOST_WORDS", "OUTSIDE", "Page", "read_page", "write_page"]

OUTSIDE = 0.02
"""Share of the page's width or height by which a box may reach beyond the page; it is cut there."""
MOST_WORDS = 50_000
"""Most words of a page."""
LARGEST_FILE = 32 << 20
"""Most bytes of a page in JSON."""
_FORM = '{"width": 762, "height": 1000, "words": ["Date:"], "boxes": [[60, 90, 110, 104]]}'


@dataclass(frozen=True)
class Page:
    """The words of one page in reading order."""

    words: tuple[str, ...]
    """Texts of n words; at least one."""
    boxes: np.ndarray
    """float64 (n, 4): left, top, right and bottom as shares of the page, 0 to 1."""
    segments: np.ndarray
    """int32 (n,): number of the line or block of each word, from 0 in the order of the words."""
    width: float
    """Width of the page in the units of the file."""
    height: float
    """Height of the page."""

    def part(self, start: int, stop: int) -> Page:
        """Return some consecutive words as a page of the same size."""
        segments = _numbered(self.segments[start:stop].tolist())
        return Page(self.words[start:stop], self.boxes[start:stop], segments, self.width, self.height)

    def to_json(self) -> dict[str, Any]:
        """Return the page in the form that `read_page` reads, with boxes in the units of the file."""
        scale = np.array([self.width, self.height, self.width, self.height])
        return {
            "width": self.width,
            "height": self.height,
            "words": list(self.words),
            "boxes": (self.boxes * scale).round(6).tolist(),
            "segments": self.segments.tolist(),
        }


def write_page(page: Page) -> str:
    """Return a page as one line of JSON in ASCII."""
    return json.dumps(page.to_json(), separators=(",", ":"))


def read_page(value: Any) -> Page:
    """Return the page of a mapping, JSON (text or bytes), or the path of a JSON file.

    Raises:
        DataError: another form, no words, a word without a box, a box that is empty or outside of the page, a blank
            word, or other numbers of words, boxes and segments.
    """
    if isinstance(value, Page):
        return value
    given = value if isinstance(value, Mapping) else _parsed(value)
    if not isinstance(given, Mapping):
        raise DataError(f"Expected a page such as {_FORM}, got {type(given).__name__}")
    if "picture" in given and "words" not in given:
        from mmkeras.media.document.ocr import read_picture

        given = read_picture(given["picture"], str(given.get("ocr", "")))
    words, boxes, segments = _columns(given)
    width, height = (_side(given, name) for name in ("width", "height"))
    for place, word in enumerate(words):
        try:
            check_text(word)
        except DataError as error:
            raise DataError(f"word {place}: {error}") from None
        if not word.strip():
            raise DataError(f"word {place}: expected a text, got a blank one. Leave out words without characters")
    shares = _shares(boxes, words, width, height)
    if segments is None:
        return Page(tuple(words), shares, lines_of(shares * [width, height, width, height]), width, height)
    return Page(tuple(words), shares, _numbered(segments), width, height)


def _parsed(value: Any) -> Any:
    """Return what JSON text, bytes or a file hold."""
    named = "the page"
    if isinstance(value, os.PathLike) or (isinstance(value, str) and not value.lstrip().startswith("{")):
        named = str(value)
        if named.lower().endswith((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")):
            form = json.dumps({"picture": named, "ocr": "rapidocr"})
            raise DataError(f"{named}: expected words with boxes, got a picture. Give it to an OCR: {form}")
        try:
            path = Path(named)
            if path.stat().st_size > LARGEST_FILE:
                raise DataError(
                    f"{named}: expected a page of at most {LARGEST_FILE:,} bytes, got {path.stat().st_size:,}. "
                    "Split the document into pages"
                )
            value = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{named[:200]}: cannot be read as a page ({reason}). Expected {_FORM}") from None
    if not isinstance(value, str | bytes):
        raise DataError(f"Expected a page such as {_FORM}, got {type(value).__name__}")
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{named} is not JSON ({error}). Expected {_FORM}") from None


def _columns(given: Mapping[str, Any]) -> tuple[list[Any], list[Any], list[Any] | None]:
    """Return texts, boxes and segments of all words."""
    words = given.get("words")
    if not isinstance(words, Sequence) or isinstance(words, str) or not words:
        got = "none" if words is None else "an empty list" if isinstance(words, list | tuple) else type(words).__name__
        raise DataError(f"words: expected a list with at least one word, got {got}")
    if len(words) > MOST_WORDS:
        raise DataError(f"words: expected at most {MOST_WORDS:,}, got {len(words):,}. Split the document into pages")
    if all(isinstance(word, Mapping) for word in words):
        texts = [word.get("text") for word in words]
        lacking = [place for place, word in enumerate(words) if "box" not in word]
        if lacking:
            raise DataError(f"word {lacking[0]} ({texts[lacking[0]]!r:.40}) has no box; give each word one")
        numbers = [word.get("segment") for word in words]
        return texts, [word["box"] for word in words], None if None in numbers else numbers
    boxes, segments = given.get("boxes"), given.get("segments")
    if not isinstance(boxes, Sequence | np.ndarray) or len(boxes) != len(words):
        got = "none" if boxes is None else f"{len(boxes)}" if hasattr(boxes, "__len__") else f"{boxes!r:.40}"
        raise DataError(f"boxes: expected one for each of the {len(words)} words, got {got}")
    if segments is not None and (not isinstance(segments, Sequence | np.ndarray) or len(segments) != len(words)):
        raise DataError(f"segments: expected a number for each of the {len(words)} words, got {segments!r:.40}")
    return list(words), list(boxes), None if segments is None else list(segments)


def _side(given: Mapping[str, Any], name: str) -> float:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e7:
        raise DataError(f"{name}: expected the page's {name}, a number above 0, got {value!r:.40}")
    return float(value)


def _shares(boxes: list[Any], words: list[Any], width: float, height: float) -> np.ndarray:
    """Return the boxes as shares of the page, cut at its edges."""
    try:
        numbers = np.array([[float(side) for side in box] for box in boxes], np.float64)
        if numbers.shape != (len(boxes), 4) or not np.isfinite(numbers).all():
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        place = next((i for i, box in enumerate(boxes) if not _is_box(box)), 0)
        got = f"{boxes[place]!r:.60}"
        raise DataError(f"box {place} ({words[place]!r:.40}): expected left, top, right, bottom; got {got}") from None
    shares = numbers / [width, height, width, height]
    outside = (shares < -OUTSIDE).any(axis=1) | (shares > 1 + OUTSIDE).any(axis=1)
    empty = (shares[:, 2:] <= shares[:, :2]).any(axis=1)
    for wrong, what in ((outside, f"outside of the page of {width:g} x {height:g}"), (empty, "empty or turned round")):
        if wrong.any():
            place = int(np.argmax(wrong))
            raise DataError(
                f"box {place} ({words[place]!r:.40}): {numbers[place].tolist()} is {what}. Expected left < right and "
                "top < bottom in units of width and height"
            )
    return np.clip(shares, 0.0, 1.0)


def _is_box(box: Any) -> bool:
    try:
        return len(box) == 4 and all(np.isfinite(float(side)) for side in box)
    except (TypeError, ValueError, OverflowError):
        return False


def _numbered(segments: Sequence[Any]) -> np.ndarray:
    """Return the segments numbered from 0 in the order in which they begin."""
    numbers: dict[Any, int] = {}
    try:
        return np.array([numbers.setdefault(segment, len(numbers)) for segment in segments], np.int32)
    except TypeError:
        raise DataError(f"segments: expected numbers or names, got {segments!r:.60}") from None
