"""Changes weights and quantisation in a LiteRT file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from export.to_litert.flatbuffer import schema
from tests.mutants.layers import Layer

__all__ = ["activations", "change_bias", "change_kernel", "kernel"]

_DTYPES = {0: np.float32, 1: np.float16, 2: np.int32, 9: np.int8}
"""Of the types in LiteRT's schema that weights have."""


def _constants(model: Any) -> Iterator[Any]:
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data) and tensor.type in _DTYPES:
            yield tensor


def kernel(model: Any, layer: Layer) -> Any | None:
    """Return the tensor that holds a layer's kernel or its table, None where the file has none."""
    for tensor in _constants(model):
        whole = tensor.shape is not None and len(tensor.shape) > 1 and int(np.prod(tensor.shape)) >= 16
        if whole and layer.holds_kernel(tensor.name.decode()):
            return tensor
    return None


def change_kernel(model: Any, layer: Layer, change: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Change a kernel, whose outputs are brought to the first axis; values that int8 cannot hold are clipped."""
    tensor = kernel(model, layer)
    if tensor is None:
        return False
    values = _read(model, tensor)
    scale = np.ones((), np.float32)
    if tensor.type == 9:
        scale = _broadcast(tensor, values.ndim)
    changed = change(values.astype(np.float32) * scale) / scale
    if tensor.type == 9:
        changed = np.clip(np.rint(changed), -127, 127)
    _write(model, tensor, changed.astype(values.dtype))
    return True


def change_bias(model: Any, layer: Layer, change: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Change what is added to the product with a kernel; False where the operation has no bias."""
    graph = model.subgraphs[0]
    tensor = kernel(model, layer)
    if tensor is None:
        return False
    places = {next(i for i, each in enumerate(graph.tensors) if each is tensor)}
    # A float16 kernel reaches its operation through DEQUANTIZE.
    places |= {int(op.outputs[0]) for op in graph.operators if int(op.inputs[0]) in places and len(op.inputs) == 1}
    for operator in graph.operators:
        inputs = [int(each) for each in operator.inputs]
        if len(inputs) == 3 and inputs[1] in places and inputs[2] >= 0:
            bias = graph.tensors[inputs[2]]
            source = [op for op in graph.operators if int(op.outputs[0]) == inputs[2] and len(op.inputs) == 1]
            if source:
                bias = graph.tensors[int(source[0].inputs[0])]
            if bias.type not in _DTYPES or model.buffers[bias.buffer].data is None:
                return False
            values = _read(model, bias)
            _write(model, bias, change(values.astype(np.float64)).astype(values.dtype))
            return True
    return False


def activations(model: Any) -> list[Any]:
    """Return the int8 outputs of convolutions and dense layers, in the order in which they are computed."""
    codes = schema().BuiltinOperator
    graph = model.subgraphs[0]
    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        tensor = graph.tensors[int(operator.outputs[0])]
        scaled = tensor.quantization is not None and tensor.quantization.scale is not None
        if kind in (codes.CONV_2D, codes.FULLY_CONNECTED) and tensor.type == 9 and scaled:
            found.append(tensor)
    return found


def _broadcast(tensor: Any, rank: int) -> np.ndarray:
    """Return a tensor's scales in a shape that multiplies its values."""
    scale = np.asarray(tensor.quantization.scale, np.float32)
    shape = [1] * rank
    if len(scale) > 1:
        shape[int(tensor.quantization.quantizedDimension or 0)] = len(scale)
    return scale.reshape(shape)


def _read(model: Any, tensor: Any) -> np.ndarray:
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    return np.frombuffer(data.tobytes(), _DTYPES[tensor.type]).reshape([int(size) for size in tensor.shape]).copy()


def _write(model: Any, tensor: Any, values: np.ndarray) -> None:
    # A buffer of its own: equal constants share one.
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
