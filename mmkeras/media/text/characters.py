"""Splits text into words: one replacement per character, the same on the device and in the training graph.

BERT's clean-up (drop control characters, separate punctuation and CJK ideographs, and for uncased models decompose,
strip accents and lowercase) is applied to each character by the table characters.txt in this package: Python, ICU and
RE2 have different Unicode versions. `make_characters` writes the table and documents the rules.

Thai, Lao, Khmer, Burmese and other languages are written without blanks, so a sentence would be one unknown word. A
word of more than `MAX_WORD_BYTES` that is not all ASCII is therefore cut into parts, each a word.
"""

from __future__ import annotations

import bisect
import pkgutil
from functools import lru_cache
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError

__all__ = [
    "CODE_POINTS",
    "KEEP",
    "MAX_WORD_BYTES",
    "NOTHING",
    "PART_BYTES",
    "SLOTS",
    "Replacements",
    "check_text",
    "pages",
    "replacements",
    "words",
]

CODE_POINTS = 0x110000
"""Code points are below this."""
SLOTS = 3
"""Most characters that replace one."""
MAX_WORD_BYTES = 100
"""A longer word (UTF-8) is [UNK]: this limit of TensorFlow Text holds on the host too."""
PART_BYTES = MAX_WORD_BYTES - 3
"""A new part of a long word begins with the first character at or after a multiple of this many bytes; a character has
up to 4 bytes."""
NOTHING = -1
"""In `pages`: no character in this slot."""
KEEP = -2
"""In `pages`: the character itself is in this slot."""

_HANGUL = range(0xAC00, 0xD7A4)
_LEAD, _VOWEL, _TRAIL = 0x1100, 0x1161, 0x11A7


class Replacements(dict[int, str]):
    """Code point -> replacement, for `str.translate`; single folds are stored, ranges are searched."""

    def __init__(self, lowercase: bool) -> None:
        super().__init__()
        self.lowercase = lowercase
        ranges: list[tuple[int, int, str]] = []
        folds: dict[int, list[int]] = {}
        # Not by its path: mmkeras may run from a packed bundle.
        table = (pkgutil.get_data(__name__, "characters.txt") or b"").decode("ascii")
        for operation, *values in map(str.split, table.splitlines()[1:]):
            numbers = [int(value, 16) for value in values]
            if operation == "fold":
                folds[numbers[0]] = numbers[1:]
            elif operation != "mark" or lowercase:
                ranges.append((numbers[0], numbers[1], operation))
        self.ranges = sorted(ranges)
        self.starts = [first for first, _, _ in self.ranges]
        common = {code: self[code] for code in range(0x250)}
        self.update(common)
        if lowercase:
            # A decomposition is clean already, but may contain punctuation or an ideograph.
            self.update({code: "".join(self[part] for part in folded) for code, folded in folds.items()})

    def __missing__(self, code: int) -> str:
        place = bisect.bisect_right(self.starts, code) - 1
        _, last, operation = self.ranges[place]
        if code <= last:
            return {"alone": f" {chr(code)} ", "space": " "}.get(operation, "")
        if self.lowercase and code in _HANGUL:
            syllable, trail = divmod(code - _HANGUL.start, 28)
            lead, vowel = divmod(syllable, 21)
            return chr(_LEAD + lead) + chr(_VOWEL + vowel) + (chr(_TRAIL + trail) if trail else "")
        return chr(code)


@lru_cache(maxsize=2)
def replacements(lowercase: bool) -> Replacements:
    """Return the table for uncased (``lowercase``) or cased text."""
    return Replacements(lowercase)


def check_text(value: Any) -> None:
    """Check that a value is a text.

    Raises:
        DataError: not a `str`, or a `str` with lone surrogates.
    """
    if not isinstance(value, str):
        raise DataError(f"Expected a text (str), got {type(value).__name__}: {value!r:.80}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"Expected valid Unicode, got a lone surrogate at character {error.start}. Decode the text as UTF-8 first."
        ) from error


def words(text: str, lowercase: bool) -> list[str]:
    """Split text into normalised words, the units of WordPiece; long words that are not ASCII are cut."""
    found: list[str] = []
    for word in text.translate(replacements(lowercase)).split(" "):
        if 4 * len(word) <= MAX_WORD_BYTES or word.isascii() or len(word.encode()) <= MAX_WORD_BYTES:
            found.append(word)
        else:
            found += _parts(word)
    return [word for word in found if word]


def _parts(word: str) -> list[str]:
    """Cut a long word; `records` does the same in the graph."""
    parts, at = [""], 0
    for character in word:
        if at // PART_BYTES == len(parts):
            parts.append("")
        parts[-1] += character
        at += len(character.encode())
    return parts


@lru_cache(maxsize=2)
def pages(lowercase: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the same table as arrays, for a graph to gather from.

    Returns:
        ``page`` int32 (4352,), the row of each block of 256 code points, and ``slots`` int32 (rows, 256, 3), the
        replacement of each code point of a block: a code point, `KEEP` or `NOTHING`.
    """
    table = replacements(lowercase)
    slots = np.full((CODE_POINTS, SLOTS), NOTHING, np.int32)
    slots[:, 0] = KEEP
    meaning = {"alone": (ord(" "), KEEP, ord(" ")), "space": (ord(" "), NOTHING, NOTHING)}
    for first, last, operation in table.ranges:
        slots[first : last + 1] = meaning.get(operation, (NOTHING, NOTHING, NOTHING))
    for code in {*table, *(_HANGUL if lowercase else ())}:
        replacement = [ord(character) for character in table[code]]
        slots[code] = replacement + [NOTHING] * (SLOTS - len(replacement))
    rows, page = np.unique(slots.reshape(-1, 256 * SLOTS), axis=0, return_inverse=True)
    return page.reshape(-1).astype(np.int32), rows.reshape(-1, 256, SLOTS)
