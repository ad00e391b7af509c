"""Reads operators and constants of a LiteRT file: a FlatBuffer, of which four tables are needed.

Source: https://flatbuffers.dev/internals/ and schema.fbs of LiteRT. The package flatbuffers is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from mmkeras.runtime.differences.contents import Contents
from mmkeras.runtime.differences.tflite_names import OPERATORS, TYPES

__all__ = ["read_tflite"]

# Places of fields in their tables.
_CODES, _SUBGRAPHS, _BUFFERS = 1, 2, 4
_OLD_CODE, _CUSTOM, _CODE = 0, 1, 3
_TENSORS, _OPERATORS = 0, 3
_TYPE, _BUFFER, _NAME = 1, 2, 3


def read_tflite(data: bytes) -> Contents:
    """Return what a LiteRT file is made of.

    Raises:
        ValueError: not a LiteRT file.
        struct.error: it is cut off.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("it does not begin like a LiteRT file")
    file = _Tables(data)
    model = file.follow(0)
    names = [_operator(file, table) for table in file.tables(model, _CODES)]
    sizes = [_buffer_size(file, table) for table in file.tables(model, _BUFFERS)]
    contents = Contents()
    counted: set[int] = set()
    for graph in file.tables(model, _SUBGRAPHS):
        for operator in file.tables(graph, _OPERATORS):
            contents.operators[names[file.number(operator, 0, "<I")]] += 1
        for tensor in file.tables(graph, _TENSORS):
            buffer = file.number(tensor, _BUFFER, "<I")
            if buffer in counted:  # several tensors may share one buffer
                continue
            counted.add(buffer)
            kind = file.number(tensor, _TYPE, "<b")
            name = TYPES[kind] if 0 <= kind < len(TYPES) else f"type {kind}"
            contents.add_weight(file.string(tensor, _NAME), name, sizes[buffer])
    return contents


def _operator(file: _Tables, table: int) -> str:
    # The number was a byte once; the old field holds 127 where that is not enough.
    code = max(file.number(table, _CODE, "<i"), file.number(table, _OLD_CODE, "<b"))
    name = OPERATORS[code] if 0 <= code < len(OPERATORS) else f"operator {code}"
    return file.string(table, _CUSTOM) or name if name == "CUSTOM" else name


def _buffer_size(file: _Tables, table: int) -> int:
    place = file.field(table, 0)
    # Files above 2 GB keep their data behind the FlatBuffer and say offset and size.
    return file.vector(place)[1] if place else file.number(table, 2, "<Q")


class _Tables:
    """A FlatBuffer. A table is the place where it begins."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def follow(self, place: int) -> int:
        """Return where an offset leads; offsets point forward, so following them ends."""
        offset: int = struct.unpack_from("<I", self._data, place)[0]
        if not 0 < offset <= len(self._data) - place:
            raise ValueError(f"an offset at byte {place} leads out of the file")
        return place + offset

    def field(self, table: int, index: int) -> int:
        """Return where a field is; 0 where it has its default."""
        virtual = table - struct.unpack_from("<i", self._data, table)[0]
        if not 0 <= virtual < len(self._data):
            raise ValueError(f"the table at byte {table} is damaged")
        length = struct.unpack_from("<H", self._data, virtual)[0]
        if 4 + 2 * index >= length:
            return 0
        offset: int = struct.unpack_from("<H", self._data, virtual + 4 + 2 * index)[0]
        return table + offset if offset else 0

    def number(self, table: int, index: int, format: str) -> int:
        """Return a field's number; 0 where it has its default."""
        place = self.field(table, index)
        return int(struct.unpack_from(format, self._data, place)[0]) if place else 0

    def vector(self, place: int) -> tuple[int, int]:
        """Return where a vector's items begin, and how many there are."""
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
        """Return a field's text; empty where there is none."""
        place = self.field(table, index)
        if not place:
            return ""
        start, count = self.vector(place)
        return self._data[start : start + count].decode("utf-8", "replace")
