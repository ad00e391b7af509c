"""Which nodes of an ONNX graph have weights that can be int8: Conv, MatMul, Gemm, and embeddings, which are Gather."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from export.quantization.layers import QuantizedLayer, describe
from mmkeras.core.errors import require
from mmkeras.runtime.tensorrt.layers import keras_layer

__all__ = ["SMALL", "WeightedNode", "embedding_nodes", "weighted_nodes"]

SMALL = 256
"""Weights with fewer elements stay float32: they save nothing, and a small last layer is what decides."""


@dataclass(frozen=True)
class WeightedNode:
    """A node that reads a computed tensor and constant weights."""

    layer: QuantizedLayer
    """What it is called, and the Keras layer it comes from."""
    position: int
    """Of the node in the graph."""
    activation: str
    """The tensor that it reads."""
    weight: str
    """The initializer that it reads."""
    slot: int
    """Which of the node's inputs the weights are."""
    axis: int
    """Axis of the weights along which each place has its own scale: output channels, or words."""


def weighted_nodes(proto: Any) -> tuple[WeightedNode, ...]:
    """Return the nodes that can be computed in int8, in the order of the graph.

    Args:
        proto: an ``onnx.ModelProto`` with float32 weights.
    """
    weights = _float_weights(proto)
    found = []
    for position, node in enumerate(proto.graph.node):
        if node.op_type in ("Conv", "MatMul", "Gemm") and node.domain in ("", "ai.onnx"):
            weight = weights.get(node.input[1])
            if weight is not None and node.input[0] not in weights:
                layer = _describe(proto, node, weight)
                found.append(
                    WeightedNode(layer, position, node.input[0], weight.name, 1, _axis(node, len(weight.dims)))
                )
    return tuple(found)


def embedding_nodes(proto: Any) -> tuple[WeightedNode, ...]:
    """Return the nodes that look up rows of a constant table, in the order of the graph.

    Args:
        proto: an ``onnx.ModelProto`` with float32 weights.
    """
    weights = _float_weights(proto)
    found = []
    for position, node in enumerate(proto.graph.node):
        if node.op_type == "Gather" and not any(a.name == "axis" and a.i for a in node.attribute):
            weight = weights.get(node.input[0])
            if weight is not None:
                layer = _describe(proto, node, weight)
                found.append(WeightedNode(layer, position, node.input[1], weight.name, 0, 0))
    return tuple(found)


def _float_weights(proto: Any) -> dict[str, Any]:
    onnx = require("onnx", "export")
    floats = (w for w in proto.graph.initializer if w.data_type == onnx.TensorProto.FLOAT)
    return {w.name: w for w in floats if len(w.dims) >= 2 and math.prod(w.dims) >= SMALL}


def _describe(proto: Any, node: Any, weight: Any) -> QuantizedLayer:
    # A name is no duty in ONNX; that of an output is, and occurs once.
    same = sum(other.name == node.name for other in proto.graph.node)
    name = node.name if node.name and same == 1 else node.output[0]
    # A node that the converter has fused lost its scopes, its weights have theirs.
    scoped = next((text for text in (weight.name, name, node.output[0]) if keras_layer(text)), name)
    return describe(name, scoped, node.op_type, math.prod(weight.dims))


def _axis(node: Any, rank: int) -> int:
    if node.op_type == "Conv":
        return 0
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return rank - 2 if transposed else rank - 1
