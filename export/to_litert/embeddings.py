"""Stores the embeddings of a LiteRT file in int8: tables that are looked up, and positions that are added.

They are most of a small text model, and neither ai-edge-quantizer's static recipe nor its weight-only recipe for dense
layers quantises them. A table stays int8 in memory, and the rows that are looked up are dequantised. A constant that is
added as a whole is dequantised once, when the file is loaded.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer, describe
from export.to_litert.flatbuffer import operation_of, read_model, schema, write_model

__all__ = ["embeddings", "quantize_embeddings"]

LEAST = 256
"""Constants with fewer elements stay float32: they save nothing."""
NARROWEST = 16
"""Fewest features of an embedding; a narrower constant may hold coordinates, for which 256 steps are too coarse."""
LARGEST = 127
_VERSIONS = {"DEQUANTIZE": 2, "GATHER": 2}
"""First operator versions that accept int8."""


@dataclass(frozen=True)
class _Embedding:
    layer: QuantizedLayer
    tensor: int
    graph: Any


def embeddings(content: bytes) -> tuple[QuantizedLayer, ...]:
    """Return the embeddings of a LiteRT file, each with the name of its constant."""
    return tuple(each.layer for each in _find(read_model(content)))


def quantize_embeddings(content: bytes, names: Collection[str]) -> bytes:
    """Return a file in which some embeddings are int8, with one scale each and zero points of 0."""
    model = read_model(content)
    chosen = [each for each in _find(model) if each.layer.name in names]
    if not chosen:
        return content
    for each in chosen:
        scale = _to_int8(model, each)
        if each.layer.operation == "GATHER":
            _look_up(model, each, scale)
        else:
            _load(model, each)
    return write_model(model)


def _find(model: Any) -> list[_Embedding]:
    found = []
    for graph in model.subgraphs:
        readers: dict[int, list[tuple[str, int, Any]]] = {}
        for operator in graph.operators:
            for slot, index in enumerate(operator.inputs):
                operation = operation_of(model.operatorCodes[operator.opcodeIndex])
                readers.setdefault(int(index), []).append((operation, slot, operator))
        for index, uses in readers.items():
            if index < 0 or not _is_wide(model, graph.tensors[index]):
                continue
            kinds = {(operation, slot if operation == "GATHER" else 0) for operation, slot, _ in uses}
            if kinds in ({("GATHER", 0)}, {("ADD", 0)}):
                name = graph.tensors[index].name.decode()
                output = graph.tensors[uses[0][2].outputs[0]].name.decode()
                scoped = name if "/" in name else output
                size = int(np.prod(graph.tensors[index].shape))
                found.append(_Embedding(describe(name, scoped, uses[0][0], size), index, graph))
    names = [each.layer.name for each in found]
    return [each for each in found if names.count(each.layer.name) == 1]


def _is_wide(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return (
        tensor.type == schema().TensorType.FLOAT32
        and data is not None
        and len(data) >= 4 * LEAST
        and len(tensor.shape) >= 2
        and tensor.shape[-1] >= NARROWEST
    )


def _to_int8(model: Any, embedding: _Embedding) -> float:
    """Turn the constant into int8 and return its scale."""
    tensor = embedding.graph.tensors[embedding.tensor]
    values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32)
    # A scale that rounds to 0 would cause a division by 0.
    scale = float(max(np.abs(values).max() / LARGEST, np.finfo(np.float32).tiny))
    rounded = np.clip(np.rint(values / scale), -LARGEST, LARGEST).astype(np.int8)
    buffer = schema().BufferT()
    buffer.data = rounded.view(np.uint8)
    # In a new buffer: the converter gives tensors of equal bytes the same one.
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    tensor.type = schema().TensorType.INT8
    tensor.quantization = _scaled(scale)
    return scale


def _look_up(model: Any, embedding: _Embedding, scale: float) -> None:
    """Make every reader of a table look up int8 rows, and dequantise the rows."""
    graph = embedding.graph
    operators = []
    for operator in graph.operators:
        operators.append(operator)
        if embedding.tensor not in operator.inputs:
            continue
        _at_least(model, operator.opcodeIndex, "GATHER")
        output = int(operator.outputs[0])
        rows = _tensor(graph, output, f"{graph.tensors[output].name.decode()}_int8")
        graph.tensors[rows].type = schema().TensorType.INT8
        graph.tensors[rows].quantization = _scaled(scale)
        operator.outputs = np.array([rows], np.int32)
        operators.append(_dequantize(model, rows, output))
    graph.operators = operators


def _load(model: Any, embedding: _Embedding) -> None:
    """Dequantise a constant by an operator that the interpreter runs once."""
    graph, constant = embedding.graph, embedding.tensor
    loaded = _tensor(graph, constant, f"{graph.tensors[constant].name.decode()}_float")
    graph.tensors[loaded].type = schema().TensorType.FLOAT32
    for operator in graph.operators:
        operator.inputs = np.array([loaded if index == constant else index for index in operator.inputs], np.int32)
    graph.operators.insert(0, _dequantize(model, constant, loaded))


def _tensor(graph: Any, like: int, name: str) -> int:
    """Add a tensor of the same shape as another, and return its index."""
    tensor = schema().TensorT()
    tensor.name, tensor.shape, tensor.buffer = name.encode(), graph.tensors[like].shape, 0
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _scaled(scale: float) -> Any:
    quantization = schema().QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = np.array([scale], np.float32), np.array([0], np.int64)
    return quantization


def _dequantize(model: Any, source: int, target: int) -> Any:
    places = [i for i, code in enumerate(model.operatorCodes) if operation_of(code) == "DEQUANTIZE"]
    if not places:
        code = schema().OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.DEQUANTIZE
        model.operatorCodes.append(code)
        places = [len(model.operatorCodes) - 1]
    operator = schema().OperatorT()
    operator.opcodeIndex = places[0]
    operator.inputs, operator.outputs = np.array([source], np.int32), np.array([target], np.int32)
    _at_least(model, places[0], "DEQUANTIZE")
    return operator


def _at_least(model: Any, place: int, operation: str) -> None:
    code = model.operatorCodes[place]
    code.version = max(code.version, _VERSIONS[operation])
