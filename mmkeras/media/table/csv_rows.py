"""Reads CSV so that a quote without its end invalidates one line only.

Every line that is not blank belongs to one row. A row over several lines is kept when it has as many cells as the
header and its lines are not rows by themselves; else its first line is a bad row, and the others are read again.
"""

from __future__ import annotations

import csv
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mmkeras.storage.text_lines import undecodable

__all__ = ["Record", "read_records"]

LOOKS_ALIKE = 0.75
"""Share of a line's cells that must look like their columns for the line to count as a row by itself."""
SEVERAL_LINES = "a cell over several lines, each of which has as many cells as a row: is a quote missing?"


@dataclass(frozen=True)
class Record:
    """One row of a CSV file."""

    first: int
    """Index of its first line."""
    last: int
    """Index after its last line."""
    cells: list[str]
    """Empty for a row with a problem."""
    problem: str = ""
    """Why the row cannot be parsed."""
    remark: str = ""
    """Remark on a row that is kept."""


def read_records(lines: Sequence[str], start: int, columns: int, delimiter: str) -> Iterator[Record]:
    """Yield every row from line ``start`` on, after the header; every line that is not blank is in one row."""
    # Computed on first use: most tables have no row of several lines, and a second pass costs as much.
    columns_of = functools.cache(lambda: _Columns(lines, start, columns, delimiter))
    return _records(lines, start, columns, delimiter, lambda first, last: columns_of().judge(first, last))


def _records(
    lines: Sequence[str], start: int, columns: int, delimiter: str, judge: Callable[[int, int], tuple[bool, bool]]
) -> Iterator[Record]:
    first = start
    while first < len(lines):
        reader = csv.reader(map(lines.__getitem__, range(first, len(lines))), delimiter=delimiter, strict=True)
        offset = first
        while True:
            problem = remark = ""
            try:
                cells = next(reader, None)
            except csv.Error as error:
                cells, problem = [], f"not valid CSV: {error}"
            if cells is None:
                return
            last = offset + reader.line_num
            text = "".join(lines[first:last])
            if not problem and len(cells) != columns:
                if len(cells) <= 1 and not text.strip():  # a blank line is no row
                    first = last
                    continue
                problem = f"expected {columns} cells, got {len(cells)}"
            if last - first > 1:
                whole, joined = (False, True) if problem else judge(first, last)
                if joined:
                    yield Record(first, first + 1, [], _unclosed(first, last))
                    first += 1
                    break
                remark = SEVERAL_LINES if whole else ""
            problem = undecodable(text) or problem
            if not problem and "\0" in text:
                problem = "expected text, got a NUL character. The table is damaged here, or is no UTF-8 text"
            yield Record(first, last, [] if problem else cells, problem, remark)
            first = last
        # An unclosed quote has joined lines: they are read again with a new reader.


def _unclosed(first: int, last: int) -> str:
    again = f"lines {first + 2} to {last} are" if last - first > 2 else f"line {first + 2} is"
    return (
        f"a quote opens in this line and is not closed in it; {again} read again. Remove the quote, or put the whole "
        "cell in quotes and write each quote in it twice"
    )


class _Columns:
    """The usual cells of each column, from rows of one line, to judge the lines of a row over several lines."""

    def __init__(self, lines: Sequence[str], start: int, columns: int, delimiter: str) -> None:
        self._lines, self._delimiter, self._count = lines, delimiter, columns
        every = _records(lines, start, columns, delimiter, lambda first, last: (False, False))
        rows = [record.cells for record in every if record.last - record.first == 1 and record.cells]
        cells = [Counter(column) for column in zip(*rows, strict=True)]
        self._rows = len(rows)
        self._repeats = [2 * len(counter) <= self._rows for counter in cells]
        """Whether the values of a column repeat: labels do, names of files may not."""
        self._seen = [
            set(counter) if repeats else {_shape(cell) for cell in counter}
            for counter, repeats in zip(cells, self._repeats, strict=True)
        ]

    def judge(self, first: int, last: int) -> tuple[bool, bool]:
        """Return whether every line has as many cells as a row, and whether a quote has joined other rows.

        Two lines are no evidence, because they always have as many cells as a row: the line with the opening quote
        where it opens in the last column, and the line with the closing quote where it opened in the first.
        """
        lines = self._lines[first:last]
        opening = self._alone(lines[0])
        column = len(opening)  # the rest of the line is inside the quoted cell
        opening = [*opening[:-1], *opening[-1].split(self._delimiter)]
        split = [opening, *map(self._alone, lines[1:])]
        whole = [len(cells) == self._count for cells in split]
        if self._count < 2 or not any(whole):
            return False, False
        if not self._rows:  # nothing to compare with
            return all(whole), all(whole) and len(lines) > 2
        evidence = [False] * len(lines)
        for number, cells in enumerate(split):
            closing = next((place for place, cell in enumerate(cells) if cell.endswith('"')), -1)
            ends = {0: column - 1, len(lines) - 1: closing}
            trivial = (number == 0 and column == self._count) or (number == len(lines) - 1 and column == 1)
            evidence[number] = whole[number] and not trivial and self._alike(cells, ends.get(number, -1))
        return all(whole), any(evidence)

    def _alone(self, line: str) -> list[str]:
        cells = next(csv.reader([line.rstrip("\r\n")], delimiter=self._delimiter, strict=False), [])
        return cells or [""]

    def _alike(self, cells: list[str], quoted: int) -> bool:
        """Return whether most cells, without the one with the quote, look like those of their columns."""
        fits = [
            (cell if repeats else _shape(cell)) in seen
            for place, (cell, repeats, seen) in enumerate(zip(cells, self._repeats, self._seen, strict=True))
            if place != quoted
        ]
        return bool(fits) and sum(fits) >= LOOKS_ALIKE * len(fits)


def _shape(cell: str) -> str:
    """Return a cell with every number as 9 and every word as a: ``10.png`` is ``9.a``."""
    words = re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", cell[:200]))
    return re.sub(r"a( a)+", "a a", words)
