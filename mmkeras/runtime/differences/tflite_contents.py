"""Reads operators and constants of a LiteRT file: a FlatBuffer, of which four tables are needed.

Source: schema.fbs of LiteRT.
"""

from __future__ import annotations

from mmkeras.runtime.differences.contents import Contents
from mmkeras.runtime.differences.tflite_names import OPERATORS, TYPES
from mmkeras.storage.litert_file import Tables

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
    file = Tables(data)
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


def _operator(file: Tables, table: int) -> str:
    # The number was a byte once; the old field holds 127 where that is not enough.
    code = max(file.number(table, _CODE, "<i"), file.number(table, _OLD_CODE, "<b"))
    name = OPERATORS[code] if 0 <= code < len(OPERATORS) else f"operator {code}"
    return file.string(table, _CUSTOM) or name if name == "CUSTOM" else name


def _buffer_size(file: Tables, table: int) -> int:
    place = file.field(table, 0)
    # Files above 2 GB keep their data behind the FlatBuffer and say offset and size.
    return file.vector(place)[1] if place else file.number(table, 2, "<Q")
