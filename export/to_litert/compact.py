"""Makes a LiteRT file smaller without changing its outputs: short names, equal parts stored once, no all-true masks.

The converter joins the names of all operations that it fuses; they are a twelfth of a small model's file. The path of
the Keras layer stays, from which reports read the part of the model.
"""

from __future__ import annotations

import re
from typing import Any

from export.to_litert.flatbuffer import operation_of, read_model, write_model
from mmkeras.runtime.differences.contents import keras_layer

__all__ = ["compact"]

LONGEST = 24
"""Characters in the name of a computed tensor; without its number, so that equal names are stored once."""


def compact(content: bytes) -> bytes:
    """Return a LiteRT file that computes the same with fewer bytes."""
    model = read_model(content)
    for graph in model.subgraphs:
        _drop_true_masks(model, graph)
        ends = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in ends:
                constant = not _empty(model.buffers[tensor.buffer])
                tensor.name = _short(tensor.name.decode(), constant=constant).encode()
            if _is_unset(tensor.quantization):
                tensor.quantization = None
    model.metadata = [entry for entry in model.metadata or [] if entry.name != b"CONVERSION_METADATA"]
    _share_empty_buffers(model)
    return write_model(model)


def _short(name: str, *, constant: bool) -> str:
    """Return the Keras layer of a constant in a form that `keras_layer` reads; a short name for a computed tensor."""
    layer = keras_layer(name.split(";")[0])
    if constant and layer:
        return f"m/{layer}/"
    return re.sub(r"[_\d]+$", "", (layer or name.strip("/")).split("/")[-1][:LONGEST])


def _drop_true_masks(model: Any, graph: Any) -> None:
    """Make selections read a mask directly where the converter broadcasts it first.

    A mask (B, 1, 1, S) that is broadcast to (B, heads, T, S) becomes LOGICAL_AND with a constant of trues, 66 kB
    for 129 radar points. SELECT_V2, which reads it, broadcasts by itself.
    """
    operations = [operation_of(code) for code in model.operatorCodes]
    readers: dict[int, list[Any]] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(int(index), []).append(operator)
    dropped = []
    for operator in graph.operators:
        if operations[operator.opcodeIndex] != "LOGICAL_AND":
            continue
        output = int(operator.outputs[0])
        true = [int(i) for i in operator.inputs if _all_true(model, graph.tensors[i])]
        masks = [int(i) for i in operator.inputs if int(i) not in true]
        selections = readers.get(output, [])
        if len(true) != 1 or len(masks) != 1 or not selections or output in graph.outputs:
            continue
        if not all(
            operations[reader.opcodeIndex] == "SELECT_V2"
            and reader.inputs[0] == output
            and _widest(graph, reader, output)
            for reader in selections
        ):
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
    """Return whether one of a selection's values has its output shape, so that a narrower condition changes nothing."""
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


def _is_unset(quantization: Any) -> bool:
    given = () if quantization is None else (quantization.scale, quantization.zeroPoint, quantization.details)
    return all(each is None or (hasattr(each, "__len__") and len(each) == 0) for each in given)
