"""Cells of generated columns: numbers, names, dates, files and what else tables hold."""

from __future__ import annotations

import datetime
import string
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "Make",
    "ROWS",
    "counting",
    "dates",
    "files",
    "gaps",
    "ids",
    "one_of",
    "real",
    "repeated",
    "tags",
    "vectors",
    "whole",
    "words",
]

ROWS = 200
Make = Callable[[np.random.Generator, Path], list[Any]]
"""Makes the cells of a column; the folder is that of the table, for files."""


def whole(low: int, high: int) -> Make:
    """Return whole numbers from low to high - 1."""
    return lambda rng, _: [str(value) for value in rng.integers(low, high, ROWS)]


def real(mean: float, spread: float, digits: int = 3) -> Make:
    """Return normally distributed numbers."""
    return lambda rng, _: [f"{value:.{digits}f}" for value in rng.normal(mean, spread, ROWS)]


def one_of(*names: str) -> Make:
    """Return one of the names in each row."""
    return lambda rng, _: [str(name) for name in rng.choice(names, ROWS)]


def counting(first: int = 0) -> Make:
    """Return the numbers of the rows."""
    return lambda rng, _: [str(first + row) for row in range(ROWS)]


def gaps(make: Make, share: float = 0.2, nothing: str = "") -> Make:
    """Return the cells of another maker, a share of them replaced."""
    return lambda rng, folder: [nothing if rng.random() < share else cell for cell in make(rng, folder)]


def words(low: int, high: int, vocabulary: int = 400) -> Make:
    """Return sentences of made-up words."""

    def made(rng: np.random.Generator, folder: Path) -> list[Any]:
        del folder
        known = ["".join(rng.choice(list(string.ascii_lowercase), rng.integers(2, 9))) for _ in range(vocabulary)]
        return [" ".join(rng.choice(known, rng.integers(low, high))) for _ in range(ROWS)]

    return made


def files(pattern: str, exist: bool = True) -> Make:
    """Return names of files, which exist or do not."""

    def made(rng: np.random.Generator, folder: Path) -> list[Any]:
        del rng
        names = [pattern.format(row) for row in range(ROWS)]
        for name in names if exist else ():
            path = folder / name.replace("\\", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return names

    return made


def dates(written: str, step: int = 13, time: bool = False) -> Make:
    """Return dates in a format of strftime."""

    def made(rng: np.random.Generator, folder: Path) -> list[Any]:
        del folder
        first = np.datetime64("2019-01-05T10:30:00") + rng.integers(0, 9)
        moments = [first + np.timedelta64(step * row * (25 if time else 24), "h") for row in range(ROWS)]
        return [moment.astype(datetime.datetime).strftime(written) for moment in moments]

    return made


def ids() -> Make:
    """Return UUIDs."""
    return lambda rng, _: [str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(ROWS)]


def repeated(prefix: str, many: int) -> Make:
    """Return identifiers of groups of rows."""
    return lambda rng, _: [f"{prefix}{value:03d}" for value in np.sort(rng.integers(0, many, ROWS))]


def tags(separator: str, *names: str) -> Make:
    """Return several names in a cell."""
    return lambda rng, _: [separator.join(rng.choice(names, rng.integers(1, 4), replace=False)) for _ in range(ROWS)]


def vectors(length: int) -> Make:
    """Return lists of numbers."""
    return lambda rng, _: [rng.normal(size=length).round(3).tolist() for _ in range(ROWS)]
