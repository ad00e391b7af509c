"""Cells that hold lists: of numbers, or of files."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmkeras.media.cells import stands_for_nothing

__all__ = ["as_number", "listed"]


def as_number(text: str) -> float | None:
    """Return the number in a text; None where it is none, or a code that begins with zeros."""
    try:
        number = float(text)
    except ValueError:
        return None
    return None if re.match(r"[+-]?0\d", text) or not np.isfinite(number) else number


def listed(filled: Sequence[Any], pictures: tuple[str, ...], most: float) -> tuple[str, str] | None:
    """Return kind and reason of cells that are lists, or texts of numbers between brackets or blanks; else None.

    Args:
        filled: cells that are not empty.
        pictures: endings of the names of pictures.
        most: share of the cells that must be of one kind.
    """
    lists = [list(cell) for cell in filled if isinstance(cell, list | tuple | np.ndarray)]
    if len(lists) >= most * len(filled):
        parts = [part for each in lists for part in each]
        long = f"{statistics.median(map(len, lists)):.0f}"
        if parts and all(map(_is_number, parts)):
            return ("series", f"cells are lists of {long} numbers")
        steps = [tuple(part) for part in parts if isinstance(part, list | tuple | np.ndarray)]
        widths = {len(step) for step in steps}
        if len(steps) == len(parts) and len(widths) == 1 and all(_is_number(one) for step in steps for one in step):
            return ("series", f"cells are lists of {long} steps of {widths.pop()} numbers")
        if parts and all(isinstance(part, str) and part.lower().endswith(pictures) for part in parts):
            return ("pictures", "cells are lists of files of pictures")
        return None
    split = [re.split(r"[\s,;]+", cell.strip("[]() \t")) for cell in filled if isinstance(cell, str)]
    found = [[as_number(part) for part in parts if not stands_for_nothing(part)] for parts in split]
    series = [numbers for numbers in found if len(numbers) >= 4 and None not in numbers]
    if len(series) >= most * len(filled):
        return ("series", f"cells are texts of {statistics.median(map(len, series)):.0f} numbers")
    return None


def _is_number(part: Any) -> bool:
    return part is None or (isinstance(part, int | float | np.number) and not isinstance(part, bool))
