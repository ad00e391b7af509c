"""Faults that only quantised files have: scales, zero points and ranges."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tests.mutants import litert_weights, onnx_weights
from tests.mutants.kind import FileEdit, Kind
from tests.mutants.layers import LAYERS

__all__ = ["KINDS"]

_EVERY = ("int8-dynamic", "int8-weights", "int8", "int8-full")
_STATIC = ("int8", "int8-full")


def _litert_weight_scale(layer: str, factor: float, model: Any, rng: np.random.Generator) -> bool:
    tensor = litert_weights.kernel(model, LAYERS[layer])
    if tensor is None or tensor.type != 9:
        return False
    tensor.quantization.scale = np.asarray(tensor.quantization.scale, np.float32) * np.float32(factor)
    return True


def _onnx_weight_scale(layer: str, factor: float, proto: Any, rng: np.random.Generator) -> bool:
    name = onnx_weights.kernel(proto, LAYERS[layer])
    scale = onnx_weights.scale_of(proto, name)
    if not scale:
        # Static int8 keeps float weights before a pair of operations: the second one reads the scale.
        for node in proto.graph.node:
            if node.op_type == "QuantizeLinear" and name and node.input[0] == name:
                after = next(
                    n for n in proto.graph.node if n.op_type == "DequantizeLinear" and n.input[0] == node.output[0]
                )
                onnx_weights.write(
                    proto, "planted_scale", onnx_weights.read(proto, after.input[1]) * np.float32(factor)
                )
                after.input[1] = "planted_scale"
                return True
        return False
    onnx_weights.write(proto, scale, onnx_weights.read(proto, scale) * np.float32(factor))
    return True


def _weight_scale(layer: str, factor: float) -> FileEdit:
    return FileEdit(partial(_litert_weight_scale, layer, factor), partial(_onnx_weight_scale, layer, factor))


def _litert_activation(place: int, factor: float, offset: int, model: Any, rng: np.random.Generator) -> bool:
    tensors = litert_weights.activations(model)
    if not tensors:
        return False
    quantization = tensors[min(place, len(tensors) - 1)].quantization
    quantization.scale = np.asarray(quantization.scale, np.float32) * np.float32(factor)
    zero = np.asarray(quantization.zeroPoint, np.int64) + offset
    quantization.zeroPoint = np.clip(zero, -128, 127)
    return True


def _onnx_activation(place: int, factor: float, offset: int, proto: Any, rng: np.random.Generator) -> bool:
    pairs = onnx_weights.activations(proto)
    if not pairs:
        return False
    quantize, dequantize = pairs[min(place, len(pairs) - 1)]
    onnx_weights.write(proto, "planted_scale", onnx_weights.read(proto, quantize.input[1]) * np.float32(factor))
    zero = onnx_weights.read(proto, quantize.input[2])
    onnx_weights.write(proto, "planted_zero", np.clip(zero.astype(int) + offset, -128, 127).astype(zero.dtype))
    for node in (quantize, dequantize):
        node.input[1], node.input[2] = "planted_scale", "planted_zero"
    return True


def _activation(place: int, factor: float = 1.0, offset: int = 0) -> FileEdit:
    return FileEdit(
        partial(_litert_activation, place, factor, offset), partial(_onnx_activation, place, factor, offset)
    )


def _onnx_mismatch(place: int, factor: float, proto: Any, rng: np.random.Generator) -> bool:
    pairs = onnx_weights.activations(proto)
    if not pairs:
        return False
    dequantize = pairs[min(place, len(pairs) - 1)][1]
    onnx_weights.write(proto, "planted_scale", onnx_weights.read(proto, dequantize.input[1]) * np.float32(factor))
    dequantize.input[1] = "planted_scale"
    return True


_PLACES = {"first": 0, "second": 1, "last": 10**6}

KINDS = (
    Kind(
        "weight-scale-wrong",
        "the scale of one layer's int8 weights is multiplied",
        {
            f"{layer} x{factor}": _weight_scale(layer, factor)
            for layer in ("last convolution", "text projection", "fusion feed forward")
            for factor in (1.1, 2.0)
        },
        precisions=_EVERY,
    ),
    Kind(
        "range-clipped",
        "an activation's int8 range is divided, so that large values are cut",
        {f"{place} /{by}": _activation(at, 1 / by) for place, at in _PLACES.items() for by in (2, 8)},
        precisions=_STATIC,
    ),
    Kind(
        "range-wide",
        "an activation's int8 range is multiplied, so that its steps are coarse",
        {f"{place} x{by}": _activation(at, by) for place, at in _PLACES.items() for by in (4, 32)},
        precisions=_STATIC,
    ),
    Kind(
        "zero-point-off",
        "an activation's range is moved by a quarter of itself",
        {f"{place} {by:+}": _activation(at, offset=by) for place, at in _PLACES.items() for by in (64, -64)},
        precisions=_STATIC,
    ),
    Kind(
        "scales-differ",
        "an activation is read with another scale than it was written with",
        {
            f"{place} x{by}": FileEdit(onnx=partial(_onnx_mismatch, at, by))
            for place, at in _PLACES.items()
            for by in (1.1, 2.0)
        },
        precisions=_STATIC,
    ),
)
