"""Reads a LiteRT file into objects that can be changed, and writes it with equal parts stored once.

Shapes, scales, the zero points of channels (8 bytes each, all 0), options and names occur many times in a file. The
flatbuffer format allows references to one copy, but other writers store every copy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer, describe, scoped_name
from mmkeras.core.errors import require

__all__ = ["OPERATIONS", "SIGNATURE", "operation_of", "read_model", "schema", "weighted_layers", "write_model"]

_IDENTIFIER = b"TFL3"
SIGNATURE = "serving_default"
OPERATIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operations that ai-edge-quantizer quantises; `export.to_litert.embeddings` adds embeddings."""


def schema() -> Any:
    """Return the module of LiteRT's schema."""
    return require("ai_edge_litert.schema_py_generated", "export")


def read_model(content: bytes) -> Any:
    """Return the ``ModelT`` of a file, with all constants in its buffers, also those stored after the flatbuffer."""
    model = schema().ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        # Offsets of 0 and 1 mean that the data lies in the buffer itself.
        if buffer.offset and buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def write_model(model: Any) -> bytes:
    """Return a file in which equal vectors, texts, quantization parameters and options are stored once."""
    once: dict[Any, _Once] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.quantization = _shared(tensor.quantization, once)
        for operator in graph.operators:
            operator.builtinOptions = _shared(operator.builtinOptions, once)
    written: dict[tuple[str, bytes], int] = {}

    class Sharing(require("flatbuffers", "export").Builder):  # type: ignore[misc]
        def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802 (flatbuffers' name)
            key = (x.dtype.str, x.tobytes())
            if key not in written:
                written[key] = super().CreateNumpyVector(x)
            return written[key]

        def CreateString(self, s: Any, *options: Any, **named: Any) -> int:  # noqa: N802 (flatbuffers' name)
            key = ("text", s if isinstance(s, bytes) else s.encode())
            if key not in written:
                written[key] = super().CreateString(s, *options, **named)
            return written[key]

    builder = Sharing(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


class _Once:
    """A part of a file that is written at its first use and referred to afterwards."""

    def __init__(self, part: Any) -> None:
        self._part, self._place = part, 0

    def Pack(self, builder: Any) -> int:  # noqa: N802 (flatbuffers' name)
        """Return its offset in the file."""
        self._place = self._place or self._part.Pack(builder)
        return self._place


def _shared(part: Any, once: dict[Any, _Once]) -> Any:
    """Return the one object that stands for all parts equal to ``part``."""
    return None if part is None else once.setdefault(_key(part), _Once(part))


def _key(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, list):
        return tuple(map(_key, value))
    if hasattr(value, "__dict__"):
        return type(value).__name__, tuple((name, _key(each)) for name, each in sorted(vars(value).items()))
    return value


def operation_of(code: Any) -> str:
    """Return the name of an operator code, such as ``CONV_2D``; empty where the schema has none."""
    return _operation_names().get(max(code.builtinCode, code.deprecatedBuiltinCode), "")


@functools.cache
def _operation_names() -> dict[int, str]:
    return {value: name for name, value in vars(schema().BuiltinOperator).items() if isinstance(value, int)}


def weighted_layers(model: Any, graph: Any) -> Iterator[tuple[Any, QuantizedLayer]]:
    """Yield the convolutions and dense layers with constant weights, each with its operator, in the graph's order."""
    for operator in graph.operators:
        operation = operation_of(model.operatorCodes[operator.opcodeIndex])
        if operation not in OPERATIONS:
            continue
        weights = graph.tensors[operator.inputs[1]]
        data = model.buffers[weights.buffer].data
        if data is None or len(data) == 0:
            continue
        output = graph.tensors[operator.outputs[0]].name.decode()
        scoped = scoped_name(weights.name.decode(), output)
        yield operator, describe(output, scoped, operation, int(np.prod(weights.shape)))
