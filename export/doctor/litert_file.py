"""Reads the operations and tensors of a LiteRT file, and finds float islands and wide ranges in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.doctor.cures import island, wide
from export.doctor.scopes import Scopes
from export.doctor.verdicts import Finding, Verdict
from mmkeras.core.errors import require
from mmkeras.runtime.differences.tflite_contents import OPERATORS, TYPES

__all__ = ["LiteRTFile", "Operation", "Tensor", "WIDE", "float_islands", "read_file", "wide_ranges"]

_CUSTOM = "CUSTOM"
WIDE = 1e4
"""Magnitude from which a value is too wide: one of 256 steps is then 40 or more."""
_BETWEEN = ("QUANTIZE", "DEQUANTIZE")
_FEW = 1024


@dataclass(frozen=True)
class Tensor:
    """A value of the graph."""

    name: str
    """Name by the converter; names joined by ``;`` where it fused operations."""
    dtype: str
    constant: bool
    """Whether the file holds its content."""
    largest: float
    """Largest magnitude that its quantisation can represent; 0 where it is not quantised to int8."""
    elements: int


@dataclass(frozen=True)
class Operation:
    """One operation."""

    operator: str
    """``CONV_2D``, ...; the custom name of an operation that is not built in, such as ``FlexErf``."""
    custom: bool
    """Whether it is not built in."""
    inputs: tuple[int, ...]
    """Indices of the tensors that it reads."""
    outputs: tuple[int, ...]
    """Indices of the tensors that it writes."""


@dataclass(frozen=True)
class LiteRTFile:
    """A file's operations, including those in the bodies of loops and branches."""

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
    # One scale per channel belongs to a weight, whose values are known.
    if dtype == "int8" and quantised is not None and quantised.scale is not None and len(quantised.scale) == 1:
        zero = int(quantised.zeroPoint[0]) if quantised.zeroPoint is not None else 0
        largest = float(quantised.scale[0]) * max(abs(-128 - zero), abs(127 - zero))
    constant = buffers[tensor.buffer].data is not None
    return Tensor((tensor.name or b"").decode("utf-8", "replace"), dtype, constant, largest, int(np.prod(shape)))


def _operator(code: Any) -> tuple[str, bool]:
    # Older files have the number in a byte; newer files write 127 there if it does not fit.
    number = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    name = OPERATORS[number] if number < len(OPERATORS) else f"operator {number}"
    if name != _CUSTOM:
        return name, False
    return (code.customCode or b"").decode("utf-8", "replace") or name, True


def float_islands(file: LiteRTFile, layers: Sequence[tuple[str, ...]], scopes: Scopes) -> list[Finding]:
    """Return a finding for every connected group of operations on floats in a quantised file.

    A cast of an input's bytes or ids to floats is allowed.
    """
    afloat = [index for index, operation in enumerate(file.operations) if _stays(file, operation)]
    findings = []
    for group in _connected(file, afloat, lambda number: file.tensors[number].dtype == "float32"):
        count = max(file.tensors[n].elements for i in group for n in _floats(file, file.operations[i]))
        size = "a few" if count <= _FEW else f"{count:,}"
        operators = tuple(sorted({file.operations[i].operator for i in group}))
        stay = "stays" if len(operators) == 1 else "stay"
        message = f"{', '.join(operators)} {stay} in float when quantised ({size} values)"
        paths = tuple(dict.fromkeys(path for i in group for path in layers[i][:1]))
        cure = island(operators, [scopes.kind(path) for path in paths])
        findings.append(Finding(Verdict.ISLAND, False, paths, operators, message, cure))
    return findings


def wide_ranges(file: LiteRTFile, layers: Sequence[tuple[str, ...]], scopes: Scopes) -> list[Finding]:
    """Return a finding for every connected group of operations whose values are too wide for int8.

    It names the layer that reads the large value as a constant, or else the first layer of the group.
    """
    findings = []
    makers = [i for i, each in enumerate(file.operations) if any(_wide(file, n, False) for n in each.outputs)]
    for group in _connected(file, makers, lambda number: _wide(file, number, False)):
        first = next((i for i in group if any(_wide(file, n, True) for n in file.operations[i].inputs)), group[0])
        largest = max(file.tensors[n].largest for i in group for n in file.operations[i].outputs)
        operators = tuple(dict.fromkeys(file.operations[i].operator for i in group))
        size = f"{largest:.0e}".replace("e+0", "e").replace("e+", "e")
        message = f"values of {size} leave int8 no resolution for the others"
        cure = wide([scopes.kind(path) for path in layers[first]])
        findings.append(Finding(Verdict.WIDE, False, layers[first][:1], operators, message, cure))
    return findings


def _connected(file: LiteRTFile, chosen: Sequence[int], joins: Callable[[int], bool]) -> list[list[int]]:
    """Return operations grouped by the values that pass between them; ``joins`` says whether a value connects."""
    groups: list[tuple[list[int], set[int]]] = []
    for index in chosen:
        operation = file.operations[index]
        touched = (*operation.inputs, *operation.outputs)
        members, values = [index], {n for n in touched if not file.tensors[n].constant and joins(n)}
        for near in [group for group in groups if group[1] & values]:
            groups.remove(near)
            members, values = near[0] + members, near[1] | values
        groups.append((members, values))
    return sorted(sorted(members) for members, _ in groups)


def _stays(file: LiteRTFile, operation: Operation) -> bool:
    """Return whether an operation stays in float, unless it is a cast of integers."""
    if operation.custom or operation.operator in _BETWEEN or not _floats(file, operation):
        return False
    return operation.operator != "CAST" or any(file.tensors[n].dtype == "float32" for n in operation.inputs)


def _wide(file: LiteRTFile, number: int, constant: bool) -> bool:
    tensor = file.tensors[number]
    return tensor.constant == constant and tensor.largest >= WIDE


def _floats(file: LiteRTFile, operation: Operation) -> list[int]:
    touched = (*operation.inputs, *operation.outputs)
    return [n for n in touched if file.tensors[n].dtype == "float32" and not file.tensors[n].constant]
