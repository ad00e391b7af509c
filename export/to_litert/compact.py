"""Makes a LiteRT file smaller without changing its outputs: short names, equal parts once, no all-true masks.

The converter joins the names of everything it fuses; they are a twelfth of a small model's file. The path of the Keras
layer stays, so that reports still know which part of the model a tensor belongs to.
"""

from __future__ import annotations

import re
from typing import Any

from export.to_litert.flatbuffer import read_model, schema, write_model
from mmkeras.runtime.differences.contents import keras_layer

__all__ = ["compact"]

LONGEST = 24
"""Characters in the name of a tensor that is no constant; without its number, so that the file holds it once."""


def compact(content: bytes) -> bytes:
    """Return a LiteRT file that computes the same with fewer bytes.

    Args:
        content: a LiteRT file whose constants lie inside or behind its flatbuffer.
    """
    model = read_model(content)
    for graph in model.subgraphs:
        _drop_true_masks(schema(), model, graph)
    for graph in model.subgraphs:
        ends = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in ends:
                constant = not _empty(model.buffers[tensor.buffer])
                tensor.name = _short(tensor.name.decode(), constant=constant).encode()
            if _says_nothing(tensor.quantization):
                tensor.quantization = None
    model.metadata = [entry for entry in model.metadata or [] if entry.name != b"CONVERSION_METADATA"]
    _share_empty_buffers(model)
    return write_model(model)


def _short(name: str, *, constant: bool) -> str:
    """Return a constant's Keras layer under one scope, as `keras_layer` reads it; of another tensor its own name."""
    layer = keras_layer(name.split(";")[0])
    if constant and layer:
        return f"m/{layer}/"
    return re.sub(r"[_\d]+$", "", (layer or name.strip("/")).split("/")[-1][:LONGEST])


def _drop_true_masks(schema: Any, model: Any, graph: Any) -> None:
    """Let a selection read a mask as it is where the converter widens it first.

    A mask (B, 1, 1, S) that is broadcast to (B, heads, T, S) becomes LOGICAL_AND with a constant of trues, 66 kB
    for 129 radar points. SELECT_V2, which reads it, broadcasts by itself.
    """
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    readers: dict[int, list[Any]] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(int(index), []).append(operator)
    dropped = []
    for operator in graph.operators:
        if codes[operator.opcodeIndex] != schema.BuiltinOperator.LOGICAL_AND:
            continue
        output = int(operator.outputs[0])
        true = [int(i) for i in operator.inputs if _all_true(model, graph.tensors[i])]
        masks = [int(i) for i in operator.inputs if int(i) not in true]
        selections = readers.get(output, [])
        read = all(
            codes[r.opcodeIndex] == schema.BuiltinOperator.SELECT_V2 and r.inputs[0] == output for r in selections
        )
        if len(true) != 1 or len(masks) != 1 or not selections or not read or output in graph.outputs:
            continue
        if not all(_widest(graph, r, output) for r in selections):
            continue
        for selection in selections:
            selection.inputs = [masks[0], *selection.inputs[1:]]
        dropped.append(operator)
        for index in (true[0], output):
            if index == output or readers[index] == [operator]:
                graph.tensors[index].buffer = 0
    graph.operators = [operator for operator in graph.operators if not any(operator is each for each in dropped)]


def _all_true(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0 and bool((data == 1).all())


def _widest(graph: Any, selection: Any, condition: int) -> bool:
    """Return whether a selection has its shape from one of its values, so that a narrower condition changes nothing."""
    shape = list(graph.tensors[selection.outputs[0]].shape)
    return any(list(graph.tensors[i].shape) == shape for i in selection.inputs if int(i) != condition)


def _share_empty_buffers(model: Any) -> None:
    """Let every tensor without a constant use buffer 0, which is empty by definition."""
    used = [entry.buffer for entry in model.metadata or []]
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    for tensor in tensors:
        if _empty(model.buffers[tensor.buffer]):
            tensor.buffer = 0
    kept = sorted({0, *used, *(tensor.buffer for tensor in tensors)})
    place = {old: new for new, old in enumerate(kept)}
    model.buffers = [model.buffers[old] for old in kept]
    for tensor in tensors:
        tensor.buffer = place[tensor.buffer]
    for entry in model.metadata or []:
        entry.buffer = place[entry.buffer]


def _empty(buffer: Any) -> bool:
    return buffer.data is None or len(buffer.data) == 0


def _says_nothing(quantization: Any) -> bool:
    given = () if quantization is None else (quantization.scale, quantization.zeroPoint, quantization.details)
    return all(each is None or (hasattr(each, "__len__") and len(each) == 0) for each in given)
