"""Changes weights and quantisation in an ONNX file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.mutants.layers import Layer

__all__ = ["activations", "change_bias", "change_kernel", "read", "scale_of", "write"]

_QUANTISED = "_quantized"


def read(proto: Any, name: str) -> np.ndarray:
    """Return an initializer by its name."""
    from onnx import numpy_helper

    return np.array(numpy_helper.to_array(next(each for each in proto.graph.initializer if each.name == name)))


def write(proto: Any, name: str, values: np.ndarray) -> None:
    """Write an initializer; a new one where the name is free."""
    from onnx import numpy_helper

    tensor = numpy_helper.from_array(np.ascontiguousarray(values), name)
    for each in proto.graph.initializer:
        if each.name == name:
            each.CopyFrom(tensor)
            return
    proto.graph.initializer.append(tensor)


def kernel(proto: Any, layer: Layer) -> str:
    """Return the name of a layer's kernel; empty where the file has none."""
    for each in proto.graph.initializer:
        named = layer.holds_kernel(each.name.removesuffix(_QUANTISED).removesuffix("_axis0"))
        side = each.name.endswith(("_scale", "_zero_point"))
        if named and not side and len(each.dims) > 1 and int(np.prod(each.dims)) >= 16:
            return str(each.name)
    return ""


def scale_of(proto: Any, name: str) -> str:
    """Return the name of the scale of an int8 initializer; empty for others."""
    return name.removesuffix(_QUANTISED) + "_scale" if name.endswith(_QUANTISED) else ""


def change_kernel(proto: Any, layer: Layer, change: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Change a kernel, given with its outputs on the first axis; values that int8 cannot hold are clipped."""
    name = kernel(proto, layer)
    if not name:
        return False
    values = read(proto, name)
    first = values.ndim == 4 or values.ndim == 3 or "embedding" in name
    scale, zero = np.ones((), np.float32), np.zeros((), np.float32)
    if scale_name := scale_of(proto, name):
        scale, zero = read(proto, scale_name), read(proto, scale_name.replace("_scale", "_zero_point"))
        if scale.size > 1:
            axis = next(i for i, size in enumerate(values.shape) if size == scale.size and (i > 0 or first))
            shape = [scale.size if i == axis else 1 for i in range(values.ndim)]
            scale, zero = scale.reshape(shape), zero.reshape(shape)
    real = (values.astype(np.float32) - zero.astype(np.float32)) * scale
    changed = change(real) if first else change(real.T).T
    if scale_name:
        limits = np.iinfo(values.dtype)
        changed = np.clip(np.rint(changed / scale + zero), limits.min, limits.max)
    write(proto, name, changed.astype(values.dtype))
    return True


def change_bias(proto: Any, layer: Layer, change: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Change what is added to the product with a kernel."""
    for each in proto.graph.initializer:
        if layer.holds_bias(each.name) and len(each.dims) == 1 and not each.name.endswith(("_scale", "_zero_point")):
            values = read(proto, each.name)
            write(proto, each.name, change(values.astype(np.float64)).astype(values.dtype))
            return True
    return False


def activations(proto: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of QuantizeLinear and DequantizeLinear of activations, in the order of the graph."""
    constants = {each.name for each in proto.graph.initializer}
    pairs = []
    for node in proto.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants:
            followers = [
                n for n in proto.graph.node if n.op_type == "DequantizeLinear" and n.input[0] == node.output[0]
            ]
            if followers and node.input[1] in constants:
                pairs.append((node, followers[0]))
    return pairs
