"""The JSON tables of nuScenes, indexed without holding their records.

A table of v1.0-trainval has up to 2.6 million records in more than a gigabyte. It is read once; only the position of
each record in the file, its token and the selected columns stay in memory. A record is read again when it is needed.
"""

from __future__ import annotations

import functools
import json
import mmap
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["Table"]

PIECE = 2**22
"""Characters parsed at a time."""
LONGEST = 2**24
"""Longest record in characters: bounds what is read after a syntax error in the middle of a file."""
BLOCK = 2**16
"""Records converted to arrays at a time."""
SPACE = re.compile(r"\s*")
SEPARATOR = re.compile(r"\s*([,\]])")
OPENING = re.compile(r"\s*\[\s*(\]?)")


class Table:
    """One table: records by number or token, and some columns as arrays.

    The file must not change while the table is in use.
    """

    def __init__(self, path: Path, columns: Mapping[str, str] | None = None) -> None:
        """Read through a table.

        Args:
            path: a JSON file with a list of objects that have a ``token``.
            columns: numpy dtype by name of each field to keep: ``S`` for tokens, ``i8``, ``?``, ``f8``.

        Raises:
            DataError: no such file, truncated or not such JSON, a field that is missing or of another type, or a token
                that occurs twice.
        """
        self.path = path
        self._kinds = {"token": "S", **(columns or {})}
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self._kinds}
        places: list[np.ndarray] = []
        block: list[dict[str, Any]] = []
        place: list[tuple[int, int]] = []
        for record, start, end in _records(path):
            block.append(record)
            place.append((start, end))
            if len(block) == BLOCK:
                self._take(block, parts, sum(map(len, places)))
                places.append(np.array(place, np.int64))
                block, place = [], []
        self._take(block, parts, sum(map(len, places)))
        places.append(np.array(place, np.int64).reshape(-1, 2))
        self._places = np.concatenate(places)
        self.columns: dict[str, np.ndarray] = {}
        """The selected columns, each (N,), and ``token``."""
        for name in list(parts):
            self.columns[name] = np.concatenate(parts.pop(name))
        self._order: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of records."""
        return len(self._places)

    def row(self, number: int) -> dict[str, Any]:
        """Read one record from its place in the file."""
        start, end = self._places[number].tolist()
        record: dict[str, Any] = json.loads(self._content[start:end])
        return record

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read every record, in the order of the file."""
        return map(self.row, range(len(self)))

    def token(self, number: int) -> str:
        """Return the token of a record."""
        return str(self.columns["token"][number].decode())

    def number(self, token: str) -> int:
        """Return the number of the record with a token."""
        if not isinstance(token, str):
            raise DataError(f"{self.path}: expected a token, got {token!r:.60}")
        found = int(self.find(np.array([token.encode()]))[0])
        if found < 0:
            raise DataError(f"{self.path}: no record has the token {token!r}")
        return found

    def find(self, tokens: np.ndarray) -> np.ndarray:
        """Return the number of the record of each token, int64 (N,); -1 where there is none."""
        if not len(self):
            return np.full(len(tokens), -1, np.int64)
        own = self.columns["token"]
        order = self._sorted
        at = np.minimum(np.searchsorted(own, tokens, sorter=order), len(own) - 1)
        found = order[at]
        return np.where(own[found] == tokens, found, -1)

    def link(self, column: str, target: Table, *, optional: bool = False) -> np.ndarray:
        """Replace a column of tokens by the record numbers in ``target``, and return it, int32 (N,).

        Where ``optional``, an unknown token becomes -1, so that the caller can reject it when it is used.

        Raises:
            DataError: a token that the target does not have.
        """
        tokens = self.columns[column]
        numbers = target.find(tokens).astype(np.int32)
        wrong = np.flatnonzero(numbers < 0)
        if len(wrong) and not optional:
            record, token = self.token(wrong[0]), bytes(tokens[wrong[0]]).decode()
            raise DataError(
                f"{self.path}: record {record!r}: its {column} {token!r} is not in {target.path.name} "
                f"({len(wrong)} such records)"
            )
        self.columns[column] = numbers
        return numbers

    def forget(self, *columns: str) -> None:
        """Drop columns that are no longer needed; without ``token``, records are found by number only."""
        for name in columns:
            del self.columns[name]
        if "token" in columns:
            self._order = None

    @property
    def _sorted(self) -> np.ndarray:
        """Order of the tokens; the first use checks that they are unique."""
        if self._order is None:
            tokens = self.columns["token"]
            order = np.argsort(tokens, kind="stable")
            twice = np.flatnonzero(tokens[order[1:]] == tokens[order[:-1]])
            if len(twice):
                raise DataError(f"{self.path}: the token {self.token(order[twice[0]])!r} occurs twice")
            self._order = order
        return self._order

    @functools.cached_property
    def _content(self) -> mmap.mmap:
        with self.path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def _take(self, block: list[dict[str, Any]], parts: dict[str, list[np.ndarray]], first: int) -> None:
        """Append the columns of some records; ``first`` is the number of the first of them."""
        for name, dtype in self._kinds.items():
            try:
                parts[name].append(_array([record[name] for record in block], dtype))
            except (KeyError, TypeError, ValueError, OverflowError):
                for number, record in enumerate(block, start=first):
                    try:
                        if _array([record[name]], dtype).shape != (1,):
                            raise TypeError
                    except (KeyError, TypeError, ValueError, OverflowError):
                        got = repr(record[name])[:60] if name in record else "none"
                        kind = "a token" if dtype == "S" else f"a number ({dtype})"
                        raise DataError(
                            f"{self.path}: record {number} ({record.get('token')!r}): expected {kind} as {name!r}, "
                            f"got {got}"
                        ) from None
                raise


def _array(values: list[Any], dtype: str) -> np.ndarray:
    """Return (N,), or raise an error where a value has another type."""
    if dtype == "S":
        if not all(type(value) is str for value in values):
            raise TypeError
        return np.array(values, "S") if values else np.empty(0, "S1")
    if dtype == "?" and not all(type(value) is bool for value in values):
        raise TypeError
    if dtype == "i8" and not all(type(value) is int for value in values):
        raise TypeError
    return np.array(values, dtype)


def _records(path: Path) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield each object of a JSON list with the bytes at which it begins and ends."""
    decode = json.JSONDecoder().raw_decode
    number = 0
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            text = stream.read(PIECE)
            opening = OPENING.match(text)
            if opening is None:
                raise DataError(f"{path}: expected a JSON list of records, got {text[:20]!r}")
            if opening[1]:
                return
            position = offset = opening.end()  # in the text at hand, and in the bytes of the file
            while True:
                start = position + len(SPACE.match(text, position)[0])  # type: ignore[index]
                try:
                    record, end = decode(text, start)
                    separator = SEPARATOR.match(text, end)
                    if separator is None:
                        raise json.JSONDecodeError("expected , or ]", text, end)
                except json.JSONDecodeError as error:
                    # A record cut off at the end of a piece looks like a broken one: read more first.
                    more = stream.read(PIECE) if len(text) - position < LONGEST else ""
                    if not more:
                        problem = "truncated" if error.pos >= len(text.rstrip()) - 1 else error.msg
                        raise DataError(f"{path}: record {number} is not a JSON object: {problem}") from None
                    text, position = text[position:] + more, 0
                    continue
                except (ValueError, RecursionError) as error:  # thousands of digits or of nested brackets
                    raise DataError(f"{path}: record {number} cannot be read: {error}") from None
                if not isinstance(record, dict):
                    raise DataError(f"{path}: record {number}: expected an object, got {type(record).__name__}")
                first = offset + _size(text[position:start])
                last = first + _size(text[start:end])
                yield record, first, last
                if separator[1] == "]":
                    return
                offset = last + _size(text[end : separator.end()])
                position = separator.end()
                number += 1
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Expected the JSON tables of nuScenes in this folder") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: after record {number}: expected UTF-8, got other bytes") from None


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
