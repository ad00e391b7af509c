"""The normal form of cells that hold names: labels, groups, splits, keys, columns and categories."""

from __future__ import annotations

import datetime
import decimal
import math
import re
import unicodedata
from typing import Any

__all__ = ["LARGEST_WHOLE", "is_empty", "name_of", "stands_for_nothing", "tidy"]

LARGEST_WHOLE = 2**53
"""Below it every whole number is exact as a float."""
_NOTHING = frozenset(("na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none", "nil", "-", "--", "?", ".", "missing"))
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def tidy(text: str) -> str:
    r"""Return a name in its normal form: names that look the same become equal.

    Blanks around it are cut, several blanks, no-break spaces and line breaks within it become one blank, invisible
    marks (zero-width spaces, soft hyphens, directions) are removed, and letters are composed (Unicode's form NFC). Case
    stays. The joiners U+200C and U+200D stay: scripts and emoji need them.

    >>> tidy(" cafe\u0301\u00a0 noir")
    'café noir'
    """
    if text.isascii() and text.isalnum():
        return text
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())


def name_of(cell: Any) -> str | None:
    """Return the name in a cell; ``None`` for an empty cell or another type.

    A whole float counts as the integer: Parquet stores integers with gaps as floats. A date is written as in ISO 8601.
    """
    if isinstance(cell, str):
        return tidy(cell) or None
    if isinstance(cell, bool | int | datetime.date):
        return str(cell)
    if isinstance(cell, float | decimal.Decimal) and math.isfinite(cell):
        whole = cell == int(cell) and abs(float(cell)) < LARGEST_WHOLE
        return str(int(cell)) if whole else str(cell)
    return None


def is_empty(cell: Any) -> bool:
    """Return whether a cell is empty: no value, blanks, or NaN."""
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def stands_for_nothing(cell: Any) -> bool:
    """Return whether a cell of a column of numbers or dates is empty, or holds a word such as NA, null or ?."""
    return is_empty(cell) or (isinstance(cell, str) and cell.strip().casefold() in _NOTHING)
