"""Reads the constants of an ONNX file with the values that the nodes compute with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.verification.constants.constant import Constant, float16_constant, quantised_constant
from mmkeras.core.errors import require

__all__ = ["onnx_constants"]


@dataclass(frozen=True)
class _Pair:
    """Names of a constant and of its scale and zero point."""

    numbers: str
    scale: str
    zero_point: str
    axis: int | None


def onnx_constants(path: Path) -> list[Constant]:
    """Return the float constants of an ONNX file, and the integers that are dequantised.

    A float constant in front of QuantizeLinear and DequantizeLinear has the values after both.
    """
    onnx = require("onnx", "export")
    graph = onnx.load(path).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    pairs = list(_pairs(graph.node, arrays))
    parameters = {name for pair in pairs for name in (pair.scale, pair.zero_point)}
    # Scales and zero points of activations.
    kinds = ("QuantizeLinear", "DequantizeLinear")
    parameters |= {name for node in graph.node if node.op_type in kinds for name in node.input[1:]}
    found = [constant for pair in pairs for constant in _dequantised(pair, arrays)]
    quantised = {pair.numbers for pair in pairs}
    for name, values in arrays.items():
        if name in parameters or name in quantised:
            continue
        if values.dtype == np.float32:
            found.append(Constant(name, values.ravel(), np.zeros(1, np.float32), "float32"))
        elif values.dtype == np.float16:
            found.append(float16_constant(name, values))
    return found


def _pairs(nodes: Any, arrays: Mapping[str, np.ndarray]) -> Iterator[_Pair]:
    before = {node.output[0]: node for node in nodes if node.op_type == "QuantizeLinear" and node.input[0] in arrays}
    seen = set()
    for node in nodes:
        if node.op_type != "DequantizeLinear" or node.input[1] not in arrays:
            continue
        source = before.get(node.input[0])
        numbers = node.input[0] if source is None else source.input[0]
        if numbers in arrays:
            seen.add(numbers)
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
            yield _Pair(numbers, node.input[1], node.input[2] if len(node.input) > 2 else "", axis)
    # onnxruntime's dynamic quantisation multiplies by the scale at the end; the names show what belongs together.
    for name, values in arrays.items():
        stem = name.removesuffix("_quantized")
        if stem != name and name not in seen and values.dtype.kind in "iu" and f"{stem}_scale" in arrays:
            yield _Pair(name, f"{stem}_scale", f"{stem}_zero_point", None)


def _dequantised(pair: _Pair, arrays: Mapping[str, np.ndarray]) -> Iterator[Constant]:
    numbers, scale = arrays[pair.numbers], np.atleast_1d(arrays[pair.scale])
    zero_point = np.atleast_1d(arrays.get(pair.zero_point, np.zeros(1, np.int8)))
    axis = pair.axis
    if scale.size > 1 and (axis is None or numbers.shape[axis] != scale.size):
        # Output channels are the last axis in every dynamically quantised operation.
        axis = numbers.ndim - 1
    if numbers.dtype.kind == "f":
        numbers = _quantise(numbers, scale, zero_point, axis)
    yield quantised_constant(pair.numbers, numbers, scale, zero_point, axis)


def _quantise(values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray, axis: int | None) -> np.ndarray:
    """Return what QuantizeLinear makes of a constant."""
    limits = np.iinfo(zero_point.dtype)
    shape = [1] * values.ndim
    if scale.size > 1 and axis is not None:
        shape[axis] = -1
    steps = np.rint(values / scale.reshape(shape)) + zero_point.astype(np.float32).reshape(shape)
    return np.clip(steps, limits.min, limits.max).astype(zero_point.dtype)
