"""Reads operators and initializers of an ONNX file without the package onnx.

Source: https://protobuf.dev/programming-guides/encoding/ and onnx.proto3.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmkeras.runtime.differences.contents import Contents

__all__ = ["read_onnx"]

_GRAPH = 7
_NODE, _INITIALIZER = 1, 5
_OUTPUT, _OP_TYPE, _DOMAIN, _ATTRIBUTE = 2, 4, 7, 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 5, 6, 11
_DATA_TYPE, _NAME = 2, 8
# float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data
_DATA = (4, 5, 6, 7, 9, 10, 11)
_TYPES = (
    *("undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16"),
    *("float64", "uint32", "uint64", "complex64", "complex128", "bfloat16"),
)

Value = int | memoryview


def read_onnx(data: bytes) -> Contents:
    """Return the contents of an ONNX file, the bodies of loops and branches included.

    Raises:
        ValueError: not an ONNX file, or truncated.
    """
    contents = Contents()
    graphs = [value for number, value in _fields(memoryview(data)) if number == _GRAPH and not isinstance(value, int)]
    if len(graphs) != 1:
        raise ValueError(f"expected one graph, got {len(graphs)}")
    while graphs:
        for number, value in _fields(graphs.pop()):
            if isinstance(value, int):
                continue
            if number == _NODE:
                graphs += _add_node(contents, value)
            elif number == _INITIALIZER:
                _add_tensor(contents, value, "")
    if not contents.operators:
        raise ValueError("its graph has no operators")
    return contents


def _add_node(contents: Contents, node: memoryview) -> list[memoryview]:
    """Count a node and return the graphs in its attributes."""
    fields = [(number, value) for number, value in _fields(node) if not isinstance(value, int)]
    texts = {number: _text(value) for number, value in fields if number in (_OUTPUT, _OP_TYPE, _DOMAIN)}
    domain, kind = texts.get(_DOMAIN, ""), texts.get(_OP_TYPE, "")
    contents.operators[f"{domain}.{kind}" if domain not in ("", "ai.onnx") else kind] += 1
    graphs = []
    for number, attribute in fields:
        if number != _ATTRIBUTE:
            continue
        for part, value in _fields(attribute):
            if isinstance(value, int):
                continue
            if part in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                graphs.append(value)
            elif part == _ATTRIBUTE_TENSOR:
                _add_tensor(contents, value, texts.get(_OUTPUT, ""))
    return graphs


def _add_tensor(contents: Contents, tensor: memoryview, name: str) -> None:
    size, kind = 0, 0
    for number, value in _fields(tensor):
        if number == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif number == _NAME and not isinstance(value, int):
            name = _text(value) or name
        elif number in _DATA:
            size += 4 if isinstance(value, int) else len(value)
    contents.add_weight(name, _TYPES[kind] if kind < len(_TYPES) else f"type {kind}", size)


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", "replace")


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of every field that holds an integer or bytes; other fields are skipped."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
        elif wire == 2:
            length, place = _varint(message, place)
            if length > len(message) - place:
                raise ValueError(f"a field claims {length} bytes and {len(message) - place} are left")
            yield number, message[place : place + length]
            place += length
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field has the unknown wire type {wire}")


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("it is cut off within a number")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it holds a number of more than 64 bits")
