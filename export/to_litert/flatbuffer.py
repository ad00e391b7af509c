"""Reads a LiteRT file into objects that can be changed, and writes it with equal parts once.

Shapes, scales, the zero points of channels (8 bytes each, all 0), options and names repeat many times in a file. A
flatbuffer may hold them once and refer to them, but no writer of such files does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer, describe, scoped_name
from mmkeras.core.errors import require

__all__ = ["OPERATIONS", "SIGNATURE", "read_model", "schema", "weighted_layers", "write_model"]

_IDENTIFIER = b"TFL3"
SIGNATURE = "serving_default"
OPERATIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operations that ai-edge-quantizer quantises; embeddings are added."""


def schema() -> Any:
    """Return the module of LiteRT's schema."""
    return require("ai_edge_litert.schema_py_generated", "export")


def read_model(content: bytes) -> Any:
    """Return the ``ModelT`` of a file, with all constants in its buffers, wherever they lie in the file."""
    model = schema().ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        # Offsets of 0 and 1 mean that the data lies in the buffer itself.
        if buffer.offset and buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def write_model(model: Any) -> bytes:
    """Return a file in which vectors and texts of equal bytes are one, and so are equal scales and options."""
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
    """A part of a file that is written at its first use."""

    def __init__(self, part: Any) -> None:
        self._part, self._place = part, 0

    def Pack(self, builder: Any) -> int:  # noqa: N802 (flatbuffers' name)
        """Return its place in the file."""
        self._place = self._place or self._part.Pack(builder)
        return self._place


def _shared(part: Any, once: dict[Any, _Once]) -> Any:
    """Return the shared part for all parts that are equal to this."""
    return None if part is None else once.setdefault(_key(part), _Once(part))


def _key(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, list):
        return tuple(map(_key, value))
    if hasattr(value, "__dict__"):
        return type(value).__name__, tuple((name, _key(each)) for name, each in sorted(vars(value).items()))
    return value


def weighted_layers(model: Any, graph: Any) -> Iterator[tuple[Any, QuantizedLayer]]:
    """Yield the convolutions and dense layers with constant weights, each with its operator, in the graph's order."""
    names = {value: name for name, value in vars(schema().BuiltinOperator).items() if isinstance(value, int)}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        operation = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "")
        if operation not in OPERATIONS:
            continue
        weights = graph.tensors[operator.inputs[1]]
        data = model.buffers[weights.buffer].data
        if data is None or len(data) == 0:
            continue
        output = graph.tensors[operator.outputs[0]].name.decode()
        scoped = scoped_name(weights.name.decode(), output)
        yield operator, describe(output, scoped, operation, int(np.prod(weights.shape)))
