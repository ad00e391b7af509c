"""Reads text files line by line, for tables and on a device.

A byte order mark is skipped. Each line ends at a line feed, a carriage return or both. A byte that is not UTF-8
invalidates its line, not the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mmkeras.core.errors import DataError

__all__ = ["JsonLine", "json_lines", "text_lines", "undecodable", "unique_names"]

_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_ESCAPED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True)
class JsonLine:
    """One line of a JSON Lines file."""

    number: int
    """Its number in the file, from 1."""
    value: Any
    """``None`` where it cannot be parsed."""
    problem: str = ""
    """Why it cannot be parsed."""


def text_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield every line of an open binary file with its ending. Bytes that are not UTF-8 are escaped, see `undecodable`.

    Raises:
        DataError: the file is UTF-16.
    """
    first = True
    for piece in pieces:
        if first and piece.startswith(_OTHER_MARKS):
            raise DataError("expected UTF-8, got UTF-16. Save the file as UTF-8")
        text = piece.removeprefix(_MARK) if first else piece
        first = False
        for line in text.splitlines(keepends=True):  # of bytes: it cuts at "\n" and "\r" alone
            yield line.decode("utf-8", "surrogateescape")


def undecodable(text: str) -> str:
    """Return the problem with the bytes of a line; empty where they are UTF-8."""
    found = None if text.isascii() else _ESCAPED.search(text)
    return f"expected UTF-8, got the byte 0x{ord(found[0]) & 0xFF:02x}. Save the file as UTF-8" if found else ""


def json_lines(pieces: Iterable[bytes]) -> Iterator[JsonLine]:
    """Yield the parsed lines of a JSON Lines file. Blank lines are skipped, but counted in the line numbers.

    Raises:
        DataError: the file is UTF-16.
    """
    for number, text in enumerate(text_lines(pieces), start=1):
        if not text.strip():
            continue
        problem = undecodable(text)
        value = None
        if not problem:
            try:
                value = json.loads(text, object_pairs_hook=unique_names)
            except (ValueError, RecursionError) as error:
                problem = f"not valid JSON: {error}"
        yield JsonLine(number, value, problem)


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, for `json.loads`, which by default drops the first of two values with one name.

    Raises:
        ValueError: two values have the same name.
    """
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r:.80} is there twice")
    return result
