"""Reads the constants of a LiteRT file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.to_litert.flatbuffer import read_model, schema
from export.verification.constants.constant import Constant, float16_constant, quantised_constant

__all__ = ["litert_constants"]


def litert_constants(path: Path) -> list[Constant]:
    """Return the float constants of a LiteRT file, and the integers with a scale; others are counts or indices."""
    model = read_model(path.read_bytes())
    types = {value: name.lower() for name, value in vars(schema().TensorType).items() if isinstance(value, int)}
    found = []
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is None or len(data) == 0:
                continue
            constant = _constant(tensor, types.get(tensor.type, ""), np.asarray(data, np.uint8))
            if constant is not None:
                found.append(constant)
    return found


def _constant(tensor: Any, kind: str, data: np.ndarray) -> Constant | None:
    name = tensor.name.decode()
    if kind == "float32":
        return Constant(name, data.view(np.float32), np.zeros(1, np.float32), kind)
    if kind == "float16":
        return float16_constant(name, data.view(np.float16))
    quantisation = tensor.quantization
    if kind not in ("int8", "uint8", "int16", "int32", "int64") or quantisation is None or quantisation.scale is None:
        return None
    scale = np.asarray(quantisation.scale, np.float32)
    if not scale.size:
        return None
    given = quantisation.zeroPoint
    zero_point = np.zeros(1, np.int64) if given is None or len(given) == 0 else np.asarray(given)
    numbers = data.view(kind).reshape([] if tensor.shape is None else list(tensor.shape))
    return quantised_constant(name, numbers, scale, zero_point, quantisation.quantizedDimension)
