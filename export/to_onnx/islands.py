"""Finds the nodes of an ONNX graph that must stay float32 in a float16 file, called islands, on samples.

The largest float16 number is 65504, and numbers below 6e-5 lose digits. A node is an island where a value that it
reads, writes or sums inside exceeds half of the largest number, where a constant exceeds that number, and where it
divides by, or takes the root or the logarithm of, a number that is too small. The nodes that compute this small number
are islands too, as long as their results are as small.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export.to_onnx.facts import Facts
from export.to_onnx.ranges import inner_tensors
from mmkeras.core.errors import require

__all__ = ["ENTRY", "Island", "LARGEST", "LOWEST", "SMALLEST", "find_islands", "hiding_nodes"]

LOWEST = -65504.0
"""The lowest float16 number."""
_MOVES = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def hiding_nodes(proto: Any) -> dict[str, str]:
    """Return the values that hold a huge negative constant before a softmax, each with the score that it replaces.

    These values may be cut to the lowest float16 number where the scores are above -32752.

    A mask is often written as a choice before a softmax, ``mask ? score : -1e9``, which tf2onnx writes as
    ``score * mask + -1e9 * not mask``. Cut to -65504, it provably gives the same weights: in a row with scores, all
    above -32752, a masked place has a weight of at most exp(-32752), which is 0 in float32 and in float16. In a row
    without scores, all places hold the same number before and after the cut, and get equal weights.

    A constant that is added to the score, ``score + -1e9 * not mask``, is not among these values: in a row that is
    masked throughout, the scores would change the weights after the cut.
    """
    graph = _Links(proto)
    found: dict[str, str] = {}
    for node in proto.graph.node:
        chosen = graph.choice(node)
        if chosen is not None:
            hidden, scores = chosen
            found |= dict.fromkeys(hidden, scores)
    return found


class _Links:
    def __init__(self, proto: Any) -> None:
        onnx = require("onnx", "export")
        self.makers = {name: node for node in proto.graph.node for name in node.output}
        self.users: dict[str, list[Any]] = defaultdict(list)
        for node in proto.graph.node:
            for name in node.input:
                self.users[name].append(node)
        self.outputs = {value.name for value in proto.graph.output}
        self.huge = {
            tensor.name
            for tensor in proto.graph.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT and np.all(onnx.numpy_helper.to_array(tensor) < LOWEST)
        }

    def choice(self, node: Any) -> tuple[list[str], str] | None:
        """Return the values that hold the constant, and the scores, where a node chooses between the two."""
        if node.op_type == "Where" and sum(name in self.huge for name in node.input[1:]) == 1:
            scores = next(name for name in node.input[1:] if name not in self.huge)
            hidden: list[str] = []
        elif node.op_type == "Add" and (terms := self._terms(node)) is not None:
            hidden, scores = terms
        else:
            return None
        moved = self._to_softmax(node.output[0])
        return None if moved is None else ([*hidden, *moved], scores)

    def _terms(self, node: Any) -> tuple[list[str], str] | None:
        """Match ``score * mask + constant * not mask``, its factors and terms in any order."""
        products = [self.makers.get(name) for name in node.input]
        for constant, score in (products, products[::-1]):
            if constant is None or score is None or {constant.op_type, score.op_type} != {"Mul"}:
                continue
            for huge, inverse in (constant.input, constant.input[::-1]):
                for value, mask in (score.input, score.input[::-1]):
                    if huge in self.huge and self._opposite(inverse, mask):
                        return [constant.output[0]], value
        return None

    def _opposite(self, inverse: str, mask: str) -> bool:
        negated = self.makers.get(self._condition(inverse))
        return negated is not None and negated.op_type == "Not" and negated.input[0] == self._condition(mask)

    def _condition(self, name: str) -> str | None:
        cast = self.makers.get(name)
        return cast.input[0] if cast is not None and cast.op_type == "Cast" else None

    def _to_softmax(self, name: str) -> list[str] | None:
        """Return the values between a value and its softmaxes; None where another operation reads one of them."""
        if name in self.outputs or not self.users[name]:
            return None
        passed = [name]
        for user in self.users[name]:
            if user.op_type == "Softmax":
                continue
            following = self._to_softmax(user.output[0]) if user.op_type in _MOVES else None
            if following is None:
                return None
            passed += following
        return passed


ENTRY = "mmkeras.float32_islands"
"""Key in a file's metadata of its islands, as JSON: the reason by Keras layer."""
LARGEST = float(np.finfo(np.float16).max) / 2
"""Larger values stay float32: values of other samples may be twice as large."""
SMALLEST = float(np.finfo(np.float16).tiny)
"""Smaller float16 numbers have fewer digits, down to none."""
_DIVISORS = {"Div": 1, "Log": 0, "Reciprocal": 0, "Sqrt": 0}
"""The input that must not be too small."""
_SUMS = ("GlobalAveragePool", "ReduceMean")
_SQUARES = ("LayerNormalization", "LpNormalization", "ReduceL2")


@dataclass(frozen=True)
class Island:
    """A node that stays float32."""

    node: str
    layer: str
    """Its Keras layer; empty where unknown."""
    reason: str


@dataclass
class _Sizes:
    """Absolute values of one float tensor on all samples."""

    largest: float = 0.0
    smallest: float = math.inf
    """Smallest value other than 0."""
    count: int = 1
    """Elements in one batch."""

    def add(self, values: np.ndarray) -> None:
        sizes = np.abs(values[np.isfinite(values)])
        self.count = max(values.size, 1)
        self.largest = max(self.largest, float(sizes.max(initial=0.0)))
        self.smallest = min(self.smallest, float(sizes.min(initial=math.inf, where=sizes > 0)))


def find_islands(path: Path, inputs: Mapping[str, np.ndarray], work: Path) -> tuple[Island, ...]:
    """Return the nodes that would overflow or underflow in float16, in the order of the graph.

    The nodes of the float32 file have names; ``inputs`` are N samples, arrays (N, ...) by name. ``work`` is a folder
    for a temporary copy of the file.

    Raises:
        ExportError: samples are missing or do not fit the graph.
        DependencyError: onnx or onnxruntime is missing.
    """
    proto = require("onnx", "export").load(path)
    facts = Facts.of(proto)
    values = (*facts.inputs, *(name for node in proto.graph.node for name in node.output))
    sizes = {name: _Sizes() for name in values if facts.dtype(name) == "float32"}
    for _, batch in inner_tensors(path, list(sizes), inputs, work):
        for name, size in sizes.items():
            size.add(batch[name])
    hidden = hiding_nodes(proto)
    # Where the scores themselves are large, the mask must stay float32 too.
    cut = {name for name, scores in hidden.items() if scores in sizes and sizes[scores].largest <= LARGEST}
    reasons: dict[int, str] = {}
    constants = _float_constants(proto)
    for position, node in enumerate(proto.graph.node):
        if reason := _too_large(node, sizes, constants, cut):
            reasons[position] = reason
    for position, reason in _too_small(proto, sizes):
        reasons.setdefault(position, reason)
    nodes = {node.outputs[0]: node for node in facts.nodes if node.outputs}
    chosen = [(proto.graph.node[position], reason) for position, reason in sorted(reasons.items())]
    return tuple(Island(node.name, facts.layer(nodes[node.output[0]]), reason) for node, reason in chosen)


def _too_large(node: Any, sizes: Mapping[str, _Sizes], constants: Mapping[str, float], cut: set[str]) -> str:
    for name in (*node.input, *node.output):
        if name in sizes and name not in cut and sizes[name].largest > LARGEST:
            return f"values up to {sizes[name].largest:.2g}"
        if constants.get(name, 0.0) > 2 * LARGEST and not cut.intersection(node.output):
            return f"a constant of size {constants[name]:.2g}"
    read, made = (sizes.get(name) for name in (node.input[0] if node.input else "", node.output[0]))
    if read is not None and made is not None:
        inside = 0.0
        if node.op_type in _SUMS:
            inside = made.largest * read.count / made.count
        elif node.op_type in _SQUARES:
            inside = read.largest**2
        if inside > LARGEST:
            return f"sums up to {inside:.2g} inside {node.op_type}"
    return ""


def _too_small(proto: Any, sizes: Mapping[str, _Sizes]) -> Iterator[tuple[int, str]]:
    makers = {name: position for position, node in enumerate(proto.graph.node) for name in node.output}
    for position, node in enumerate(proto.graph.node):
        index = _DIVISORS.get(node.op_type)
        if index is None or node.input[index] not in sizes or sizes[node.input[index]].smallest >= SMALLEST:
            continue
        reason = f"{node.op_type} of numbers down to {sizes[node.input[index]].smallest:.2g}"
        yield position, reason
        waiting, seen = [node.input[index]], set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in makers or sizes[name].smallest >= SMALLEST:
                continue
            seen.add(name)
            yield makers[name], reason
            waiting += [each for each in proto.graph.node[makers[name]].input if each in sizes]


def _float_constants(proto: Any) -> dict[str, float]:
    """Return the largest finite size in every float32 constant."""
    onnx = require("onnx", "export")
    found = {}
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor)
            found[tensor.name] = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    return found
