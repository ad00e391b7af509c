"""Pages that exercise the preprocessing, and pages made harder. numpy only."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from mmkeras.media.document.page import Page

__all__ = ["FAULTS", "jumbled", "longest", "probe_pages", "shifted"]

_Change: TypeAlias = Callable[[Page, int], Page]
_SHIFT = 0.05
_WORDS = (
    "Total:",
    "RM 12.50",
    "1.234,00",
    "03/11/2018",
    "12:45",
    "2x",
    "ITEM",
    "Çaña",
    "你好",
    "(a)",
    "------",
    "x@y.de",
)


def jumbled(page: Page, words: int) -> Page:
    """Return a page whose words stand in each other's boxes: the layout without the language."""
    del words
    order = _rng(page).permutation(len(page.words))
    return Page(tuple(page.words[i] for i in order), page.boxes, page.segments, page.width, page.height)


def shifted(page: Page, words: int) -> Page:
    """Return a page that was scanned askew: all boxes are moved by a twentieth of the page, and cut at its edges."""
    del words
    boxes = np.clip(page.boxes + _SHIFT * _rng(page).choice([-1.0, 1.0], 2)[[0, 1, 0, 1]], 0.0, 1.0)
    # A box beyond the edge keeps a small part on the page.
    least = 1e-3
    boxes[:, :2] = np.minimum(boxes[:, :2], 1.0 - least)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + least)
    return Page(page.words, boxes, page.segments, page.width, page.height)


def longest(page: Page, words: int) -> Page:
    """Return a page that repeats its words until it fills the model."""
    places = np.arange(max(words, len(page.words))) % len(page.words)
    return Page(
        tuple(page.words[i] for i in places), page.boxes[places], page.segments[places], page.width, page.height
    )


FAULTS: Mapping[str, _Change] = MappingProxyType({"jumbled": jumbled, "shifted": shifted, "longest": longest})
"""By the name of the scenario."""


def probe_pages(vocabulary: Sequence[str], words: int) -> tuple[str, ...]:
    """Return pages in JSON: words of the whole vocabulary with and without segments, and one with too many words."""
    whole = [token for token in vocabulary if token.isalpha() and token.isascii()] or ["text"]
    step = max(1, len(whole) // 24)
    some = [word for pair in zip(whole[::step][:24], itertools.cycle(_WORDS)) for word in pair] or list(_WORDS)
    return (_page(some, 6, True), _page([*_WORDS], 3, False), _page((some * words)[: words + 3], 8, True))


def _page(words: Sequence[str], columns: int, segments: bool) -> str:
    wide, high = 900 / columns, 20
    corners = [(wide * (i % columns), high * (i // columns)) for i in range(len(words))]
    boxes = [[x + 2, y + 2, x + wide * (0.6 + 0.3 * (i % 2)), y + high - 3] for i, (x, y) in enumerate(corners)]
    page = {"width": 900, "height": high * (len(words) // columns + 1), "words": list(words), "boxes": boxes}
    return json.dumps(page | ({"segments": [i // 2 for i in range(len(words))]} if segments else {}))


def _rng(page: Page) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(" ".join(page.words).encode("utf-8", "replace")))
