"""The operations and tensors of a LiteRT file with their types and scales, as far as verdicts need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import require
from mmkeras.runtime.differences.tflite_contents import OPERATORS, TYPES

__all__ = ["LiteRTFile", "Operation", "Tensor", "read_file"]

_CUSTOM = "CUSTOM"


@dataclass(frozen=True)
class Tensor:
    """A value of the graph."""

    name: str
    """As the converter named it; several names joined by ``;`` where it joined operations."""
    dtype: str
    constant: bool
    """Whether the file holds its content."""
    largest: float
    """Largest magnitude that its quantisation can express; 0 where it is not quantised to int8."""
    elements: int


@dataclass(frozen=True)
class Operation:
    """One operation."""

    operator: str
    """``CONV_2D``, ...; the custom name of one that is not built in, such as ``FlexErf``."""
    custom: bool
    """Whether it is not built in."""
    inputs: tuple[int, ...]
    """Indices of the tensors that it reads."""
    outputs: tuple[int, ...]
    """Indices of the tensors that it writes."""


@dataclass(frozen=True)
class LiteRTFile:
    """A file's operations, those in the bodies of loops and branches among them."""

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    outputs: dict[str, int]
    """Indices of the output tensors, by the signature's names."""


def read_file(content: bytes) -> LiteRTFile:
    """Read a LiteRT file."""
    schema = require("ai_edge_litert.schema_py_generated", "export")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    tensors: list[Tensor] = []
    operations: list[Operation] = []
    for graph in model.subgraphs:
        first = len(tensors)
        tensors += [_tensor(tensor, model.buffers) for tensor in graph.tensors or ()]
        for operation in graph.operators or ():
            name, custom = _operator(model.operatorCodes[operation.opcodeIndex])
            inputs, outputs = (
                # -1 stands for an optional input that is left out.
                tuple(first + int(number) for number in (numbers if numbers is not None else ()) if number >= 0)
                for numbers in (operation.inputs, operation.outputs)
            )
            operations.append(Operation(name, custom, inputs, outputs))
    named = {
        (each.name or b"").decode(): int(each.tensorIndex)
        for signature in model.signatureDefs or ()
        for each in signature.outputs or ()
    }
    return LiteRTFile(tuple(tensors), tuple(operations), named)


def _tensor(tensor: Any, buffers: list[Any]) -> Tensor:
    shape = [int(size) for size in tensor.shape] if tensor.shape is not None else []
    dtype = TYPES[tensor.type]
    largest = 0.0
    quantised = tensor.quantization
    # One scale per channel is a weight's, which its own values gave.
    if dtype == "int8" and quantised is not None and quantised.scale is not None and len(quantised.scale) == 1:
        zero = int(quantised.zeroPoint[0]) if quantised.zeroPoint is not None else 0
        largest = float(quantised.scale[0]) * max(abs(-128 - zero), abs(127 - zero))
    constant = buffers[tensor.buffer].data is not None
    return Tensor((tensor.name or b"").decode("utf-8", "replace"), dtype, constant, largest, int(np.prod(shape)))


def _operator(code: Any) -> tuple[str, bool]:
    # The number was a byte once; the old field holds 127 where that is not enough.
    number = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    name = OPERATORS[number] if number < len(OPERATORS) else f"operator {number}"
    if name != _CUSTOM:
        return name, False
    return (code.customCode or b"").decode("utf-8", "replace") or name, True
