"""Reads a LiteRT file, a FlatBuffer: its tables, and the oldest runtime that loads it.

Source: https://flatbuffers.dev/internals/ and schema.fbs of LiteRT. The package flatbuffers is not needed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

__all__ = ["Tables", "needed_runtime"]

# Indices of fields in their tables.
_BUFFERS, _METADATA = 4, 6
_NAME, _BUFFER = 0, 1
_VERSION = re.compile(rb"[0-9]+(\.[0-9]+)+")


def needed_runtime(content: bytes) -> str:
    """Return the oldest version of TensorFlow Lite that has every operation of a file, such as ``2.17.0``.

    The converter writes it as ``min_runtime_version``. The result is empty if it is missing, or for other files.
    """
    try:
        file = Tables(content)
        model = file.follow(0)
        buffers = list(file.tables(model, _BUFFERS))
        for entry in file.tables(model, _METADATA):
            if file.string(entry, _NAME) == "min_runtime_version":
                start, count = file.vector(file.field(buffers[file.number(entry, _BUFFER, "<I")], 0))
                found = _VERSION.match(content[start : start + count])
                return found[0].decode() if found else ""
    except (ValueError, IndexError, struct.error):
        return ""
    return ""


class Tables:
    """A FlatBuffer. A table is given by the position of its first byte."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def follow(self, place: int) -> int:
        """Return the target of the offset at a position; offsets point forward, so following them ends."""
        offset: int = struct.unpack_from("<I", self._data, place)[0]
        if not 0 < offset <= len(self._data) - place:
            raise ValueError(f"an offset at byte {place} points outside the file")
        return place + offset

    def field(self, table: int, index: int) -> int:
        """Return the position of a field; 0 if the field has its default."""
        virtual = table - struct.unpack_from("<i", self._data, table)[0]
        if not 0 <= virtual < len(self._data):
            raise ValueError(f"the table at byte {table} is damaged")
        length = struct.unpack_from("<H", self._data, virtual)[0]
        if 4 + 2 * index >= length:
            return 0
        offset: int = struct.unpack_from("<H", self._data, virtual + 4 + 2 * index)[0]
        return table + offset if offset else 0

    def number(self, table: int, index: int, format: str) -> int:
        """Return a field's number; 0 if the field has its default."""
        place = self.field(table, index)
        return int(struct.unpack_from(format, self._data, place)[0]) if place else 0

    def vector(self, place: int) -> tuple[int, int]:
        """Return the position of a vector's first item, and the number of items."""
        start = self.follow(place)
        count: int = struct.unpack_from("<I", self._data, start)[0]
        if count > len(self._data) - start - 4:
            raise ValueError(f"a list at byte {start} claims {count} items")
        return start + 4, count

    def tables(self, table: int, index: int) -> Iterator[int]:
        """Yield the tables in a field's vector."""
        place = self.field(table, index)
        if place:
            start, count = self.vector(place)
            for number in range(count):
                yield self.follow(start + 4 * number)

    def string(self, table: int, index: int) -> str:
        """Return a field's text; empty if the field is missing."""
        place = self.field(table, index)
        if not place:
            return ""
        start, count = self.vector(place)
        return self._data[start : start + count].decode("utf-8", "replace")
