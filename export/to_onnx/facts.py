"""Facts about the values of an ONNX graph: types, constants, shapes, readers, Keras layers."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmkeras.core.errors import require
from mmkeras.runtime.differences.contents import keras_layer

__all__ = ["Facts", "Node"]

_STEPS = 6
_SMALL = 1 << 16


@dataclass(frozen=True)
class Node:
    """One node of the graph, or of a graph inside If, Loop or Scan."""

    name: str
    operator: str
    """``MatMul``, ``Conv``, ..."""
    domain: str
    """Empty for ONNX's own operators."""
    inputs: tuple[str, ...]
    """Names of the values that it reads; empty for an optional value that is left out."""
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(hash=False, compare=False)
    """Plain attributes by name, without graphs and tensors."""


@dataclass
class Facts:
    """Facts about one graph."""

    opset: int
    """Of ONNX's own domain."""
    outputs: tuple[str, ...]
    notes: dict[str, str]
    """The file's metadata."""
    nodes: list[Node] = field(default_factory=list)
    inputs: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes of the inputs; -1 where a dimension is dynamic."""
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    """Small constants by name."""
    _dtypes: dict[str, str] = field(default_factory=dict)
    _constant: set[str] = field(default_factory=set)
    _shapes: set[str] = field(default_factory=set)
    _users: dict[str, list[Node]] = field(default_factory=lambda: defaultdict(list))
    _makers: dict[str, Node] = field(default_factory=dict)

    @classmethod
    def of(cls, proto: Any) -> Facts:
        """Read an ``onnx.ModelProto``."""
        onnx = require("onnx", "export")
        # Types that cannot be inferred are left unknown.
        with contextlib.suppress(onnx.shape_inference.InferenceError, ValueError):
            proto = onnx.shape_inference.infer_shapes(proto)
        opsets = {item.domain: item.version for item in proto.opset_import}
        facts = cls(
            opset=opsets.get("", opsets.get("ai.onnx", 0)),
            outputs=tuple(value.name for value in proto.graph.output),
            notes={entry.key: entry.value for entry in proto.metadata_props},
        )
        facts._read(onnx, proto.graph)
        facts.inputs = {v.name: _shape(v) for v in proto.graph.input if v.name not in facts._constant}
        facts._follow()
        return facts

    def dtype(self, name: str) -> str:
        """Return numpy's name of a value's type; empty where it is unknown."""
        return self._dtypes.get(name, "")

    def is_constant(self, name: str) -> bool:
        """Return whether a value depends on no input."""
        return name in self._constant

    def is_stored(self, name: str) -> bool:
        """Return whether a value is stored in the file, and not computed."""
        return name in self._constant and name not in self._makers

    def is_shape(self, name: str) -> bool:
        """Return whether a value follows from shapes and constants alone."""
        return name in self._shapes or name in self._constant

    def users(self, name: str) -> list[Node]:
        """Return the nodes that read a value."""
        return self._users.get(name, [])

    def layer(self, node: Node) -> str:
        """Return a node's Keras layer; for a node that the converter added, the layer of the nearest node with one."""
        near, seen = [node], {id(node)}
        for _ in range(_STEPS):
            for each in near:
                for name in (each.name, *each.outputs):
                    if layer := keras_layer(name):
                        return layer
            following = [user for each in near for name in each.outputs for user in self.users(name)]
            following += [self._makers[name] for each in near for name in each.inputs if name in self._makers]
            near = [each for each in following if id(each) not in seen]
            seen |= {id(each) for each in near}
        return ""

    def _follow(self) -> None:
        for node in self.nodes:
            for name in node.inputs:
                self._users[name].append(node)
            self._makers.update(dict.fromkeys(node.outputs, node))
            read = [name for name in node.inputs if name]
            if node.operator in ("Shape", "Size") or (read and all(self.is_shape(name) for name in read)):
                self._shapes.update(node.outputs)
            if node.operator == "Constant" or (read and all(name in self._constant for name in read)):
                self._constant.update(node.outputs)

    def _read(self, onnx: Any, graph: Any) -> None:
        for value in (*graph.input, *graph.output, *graph.value_info):
            self._dtypes[value.name] = _name(onnx, value.type.tensor_type.elem_type)
        for tensor in graph.initializer:
            self._note(onnx, tensor.name, tensor)
            self._constant.add(tensor.name)
        for node in graph.node:
            plain = {}
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    self._read(onnx, attribute.g)
                elif attribute.type == onnx.AttributeProto.TENSOR:
                    if node.op_type == "Constant":
                        self._note(onnx, node.output[0], attribute.t)
                elif attribute.type != onnx.AttributeProto.GRAPHS:
                    value = onnx.helper.get_attribute_value(attribute)
                    plain[attribute.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
            self.nodes.append(Node(node.name, node.op_type, node.domain, tuple(node.input), tuple(node.output), plain))

    def _note(self, onnx: Any, name: str, tensor: Any) -> None:
        self._dtypes[name] = _name(onnx, tensor.data_type)
        if int(np.prod(tensor.dims, dtype=np.int64)) <= _SMALL:
            # A tensor may be damaged, or stored in an external file that is missing.
            with contextlib.suppress(ValueError, TypeError, OSError):
                self.constants[name] = onnx.numpy_helper.to_array(tensor)


def _name(onnx: Any, kind: int) -> str:
    if kind == onnx.TensorProto.BFLOAT16:
        return "bfloat16"
    try:
        return str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).name) if kind else ""
    except (KeyError, TypeError, ValueError):
        return ""


def _shape(value: Any) -> tuple[int, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else -1 for d in dims)
