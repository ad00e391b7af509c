"""The operations of a LiteRT file that ai-edge-quantizer does in int8, and the layers that they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer, describe, scoped_name
from export.to_litert.flatbuffer import schema

__all__ = ["OPERATIONS", "SIGNATURE", "weighted_layers"]

SIGNATURE = "serving_default"
OPERATIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""What ai-edge-quantizer does; embeddings are added to it."""


def weighted_layers(model: Any, graph: Any) -> Iterator[tuple[Any, QuantizedLayer]]:
    """Yield the convolutions and dense layers with constant weights, each with its operator, in the graph's order.

    Args:
        model: an unpacked ``ModelT``.
        graph: one of its subgraphs.
    """
    names = {value: name for name, value in vars(schema().BuiltinOperator).items() if isinstance(value, int)}
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        operation = names.get(max(code.builtinCode, code.deprecatedBuiltinCode), "")
        if operation not in OPERATIONS:
            continue
        weights = graph.tensors[operator.inputs[1]]
        data = model.buffers[weights.buffer].data
        if data is None or len(data) == 0:
            continue
        output = graph.tensors[operator.outputs[0]].name.decode()
        scoped = scoped_name(weights.name.decode(), output)
        yield operator, describe(output, scoped, operation, int(np.prod(weights.shape)))
