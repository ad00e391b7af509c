"""Writes pairs of QuantizeLinear and DequantizeLinear into an ONNX graph, as TensorRT's documentation requires.

Zero points are 0 and both sides int8; an activation has one scale, weights one per output channel. Pairs come before
both inputs of a node and not after it; biases are not quantised. The engine folds the pairs into int8 kernels. TensorRT
8.6 needs float32 weights with a pair; from 10 on the file may store int8 weights, which makes it small.

Source: TensorRT documentation, Working with Quantized Types, Q/DQ layer-placement recommendations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer, describe
from export.to_onnx.ranges import LEVELS
from mmkeras.core.errors import require
from mmkeras.runtime.differences.contents import keras_layer

__all__ = [
    "SMALL",
    "WeightedNode",
    "embedding_nodes",
    "pairs_problem",
    "quantise_nodes",
    "weighted_nodes",
]

SMALL = 256
"""Weights with fewer elements stay float32: they save nothing, and a small last layer decides the result."""


@dataclass(frozen=True)
class WeightedNode:
    """A node that reads a computed tensor and constant weights."""

    layer: QuantizedLayer
    """Its name and its Keras layer."""
    position: int
    """Index of the node in the graph."""
    activation: str
    weight: str
    slot: int
    """Index of the weights among the node's inputs."""
    axis: int
    """Axis of the weights along which each index has its own scale: output channels, or rows of a table."""


def weighted_nodes(proto: Any) -> tuple[WeightedNode, ...]:
    """Return the nodes of an ``onnx.ModelProto`` that can be computed in int8, in the order of the graph."""
    weights = _float_weights(proto)
    found = []
    for position, node in enumerate(proto.graph.node):
        if node.op_type in ("Conv", "MatMul", "Gemm") and node.domain in ("", "ai.onnx"):
            weight = weights.get(node.input[1])
            if weight is not None and node.input[0] not in weights:
                layer, axis = _describe(proto, node, weight), _axis(node, len(weight.dims))
                found.append(WeightedNode(layer, position, node.input[0], weight.name, 1, axis))
    return tuple(found)


def embedding_nodes(proto: Any) -> tuple[WeightedNode, ...]:
    """Return the nodes that look up rows of a constant float32 table, in the order of the graph."""
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
    # Names of nodes are optional in ONNX; names of outputs are required and unique.
    same = sum(other.name == node.name for other in proto.graph.node)
    name = node.name if node.name and same == 1 else node.output[0]
    # The name of a node that the converter fused has no scopes; its weights' name still has.
    scoped = next((text for text in (weight.name, name, node.output[0]) if keras_layer(text)), name)
    return describe(name, scoped, node.op_type, math.prod(weight.dims))


def _axis(node: Any, rank: int) -> int:
    if node.op_type == "Conv":
        return 0
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return rank - 2 if transposed else rank - 1


def quantise_nodes(
    proto: Any, nodes: Iterable[WeightedNode], limits: Mapping[str, float] | None, *, stored: bool = False
) -> Any:
    """Return a copy of a model, opset 13 or later, in which some of its nodes are computed in int8.

    ``limits`` are the largest magnitudes by activation's name; None quantises the weights only. With ``stored``, the
    file holds int8 weights; else it holds the float32 weights, followed by a pair.
    """
    onnx = require("onnx", "export")
    chosen = {node.position: node for node in nodes}
    result = onnx.ModelProto()
    result.CopyFrom(proto)
    graph = _Graph(onnx, result.graph)
    del result.graph.node[:]
    for position, node in enumerate(proto.graph.node):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if (weighted := chosen.get(position)) is not None:
            if limits is not None:
                copy.input[0] = graph.activation(weighted.activation, limits[weighted.activation])
            copy.input[weighted.slot] = graph.weights(weighted, stored=stored)
        result.graph.node.append(copy)
    graph.drop_unused()
    return result


def pairs_problem(path: Path) -> str:
    """Return a problem of a file's pairs of QuantizeLinear and DequantizeLinear; empty where all are valid.

    TensorRT requires the same scale and a zero point of 0 in both nodes of a pair.
    """
    onnx = require("onnx", "export")
    graph = onnx.load(path).graph
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    quantised = {node.output[0]: node for node in graph.node if node.op_type == "QuantizeLinear"}
    for node in graph.node:
        first = quantised.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if first is None:
            continue
        missing = np.array(np.nan)
        scales, zeros = ([arrays.get(each.input[place], missing) for each in (first, node)] for place in (1, 2))
        if not np.array_equal(*scales):
            return f"quantises {first.input[0]} with another scale than it is dequantised with"
        if any(zero.any() for zero in zeros):
            return f"quantises {first.input[0]} with a zero point other than 0"
    return ""


def _scale(largest: np.ndarray) -> np.ndarray:
    """Return the scales for the largest absolute values; 1 where a scale rounds to 0, which would divide by 0."""
    scale = largest.astype(np.float32) / np.float32(LEVELS)
    return np.where(scale >= np.finfo(np.float32).tiny, scale, np.float32(1.0)).astype(np.float32)


def _int8(weights: np.ndarray, scale: np.ndarray, axis: int) -> np.ndarray:
    shape = [-1 if i == axis else 1 for i in range(weights.ndim)]
    return np.clip(np.rint(weights / scale.reshape(shape)), -LEVELS, LEVELS).astype(np.int8)


class _Graph:
    """A graph under construction: every pair is written once, before its first reader."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx, self._graph = onnx, graph
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._written: dict[tuple[str, int], str] = {}

    def activation(self, name: str, limit: float) -> str:
        """Return the name of a tensor's dequantised int8 form."""
        key = (name, -1)
        if key not in self._written:
            self._scale(name, _scale(np.array(limit)))
            self._written[key] = self._node("DequantizeLinear", name, self._node("QuantizeLinear", name, name))
        return self._written[key]

    def weights(self, node: WeightedNode, *, stored: bool) -> str:
        """Return the name of the dequantised int8 form of weights."""
        key = (node.weight, node.axis)
        if key not in self._written:
            weights = self._onnx.numpy_helper.to_array(self._initializers[node.weight])
            scale = _scale(np.abs(weights).max(axis=tuple(i for i in range(weights.ndim) if i != node.axis)))
            # Two nodes may read the same weights along different axes.
            name = f"{node.weight}_axis{node.axis}"
            self._scale(name, scale)
            if stored:
                numbers = self._constant(f"{name}_quantized", _int8(weights, scale, node.axis))
            else:
                numbers = self._node("QuantizeLinear", name, node.weight, node.axis)
            self._written[key] = self._node("DequantizeLinear", name, numbers, node.axis)
        return self._written[key]

    def drop_unused(self) -> None:
        """Remove the float32 weights that no node reads any more."""
        read = set(_reads(self._onnx, self._graph))
        gone = {name for name, axis in self._written if axis >= 0 and name not in read}
        kept = [tensor for tensor in self._graph.initializer if tensor.name not in gone]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)

    def _scale(self, name: str, scale: np.ndarray) -> None:
        self._constant(f"{name}_scale", scale)
        self._constant(f"{name}_zero_point", np.zeros(scale.shape, np.int8))

    def _node(self, operator: str, name: str, tensor: str, axis: int | None = None) -> str:
        inputs = [tensor, f"{name}_scale", f"{name}_zero_point"]
        output = f"{name}_{'quantized' if operator == 'QuantizeLinear' else 'dequantized'}"
        attributes = {} if axis is None else {"axis": axis}
        self._graph.node.append(
            self._onnx.helper.make_node(operator, inputs, [output], f"{name}_{operator}", **attributes)
        )
        return output

    def _constant(self, name: str, value: np.ndarray) -> str:
        self._graph.initializer.append(self._onnx.numpy_helper.from_array(value, name))
        return name


def _reads(onnx: Any, graph: Any) -> Iterator[str]:
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _reads(onnx, attribute.g)
