"""What the characters of a word look like, as numbers from 0 to 1: a model sees amounts and dates it never read.

numpy only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

__all__ = ["SHAPES", "shapes_of"]

_AMOUNT = re.compile(r"[^\d]{0,3}\d{1,3}(?:[., ]?\d{3})*(?:[.,]\d{1,2})?[^\d]{0,2}")
_DATE = re.compile(r"[^\d]?\d{1,4}[-/.]\s?(?:\d{1,2}|[A-Za-z]{3,9})[-/.]\s?\d{1,4}[^\d]?")
_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?:[aApP][mM])?")
_TIMES = re.compile(r"[xX]\d{0,3}|\d{1,3}[xX]")
_MONTH = re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?,?", re.IGNORECASE)
_YEAR = re.compile(r"\D?(?:19|20)\d\d\D?")
_LONGEST = 20
"""Words of more characters count as long as this."""
_ENDS = ":.,)?"
_STARTS = "(*#-"
_HOLDS = "$%@/-_.,'&"

SHAPES = 20 + len(_ENDS) + len(_STARTS) + len(_HOLDS)
"""Numbers that describe a word."""


def shapes_of(words: Sequence[str]) -> np.ndarray:
    """Return float32 (n, SHAPES), each from 0 to 1: length, kinds of characters, punctuation, patterns of numbers."""
    rows = np.zeros((len(words), SHAPES), np.float32)
    for row, word in zip(rows, words, strict=True):
        length = max(len(word), 1)
        digits = sum(character.isdigit() for character in word)
        letters = sum(character.isalpha() for character in word)
        capitals = sum(character.isupper() for character in word)
        known = [
            min(length, _LONGEST) / _LONGEST,
            digits / length,
            letters / length,
            capitals / length,
            (length - digits - letters) / length,
            word[:1].isupper(),
            word.isupper(),
            word.islower(),
            word.isdigit(),
            length == 1,
            length == 2,
            _AMOUNT.fullmatch(word) is not None,
            re.search(r"[.,]\d\d\D?$", word) is not None,
            re.search(r"[.,]\d\d\d\D?$", word) is not None,
            _DATE.fullmatch(word) is not None,
            _TIME.fullmatch(word) is not None,
            _TIMES.fullmatch(word) is not None,
            _MONTH.fullmatch(word) is not None,
            _YEAR.fullmatch(word) is not None,
            len(set(word)) == 1 and length > 2,
        ]
        row[:] = [
            *known,
            *(word.endswith(mark) for mark in _ENDS),
            *(word.startswith(mark) for mark in _STARTS),
            *(mark in word for mark in _HOLDS),
        ]
    return rows
