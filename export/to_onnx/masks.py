"""Huge constants that float16 may cut: those that hide scores from a softmax.

A mask is often written as a choice in front of a softmax, ``mask ? score : -1e9``, of which tf2onnx makes
``score * mask + -1e9 * not mask``. Cut to -65504, the lowest float16 number, it provably gives the same weights. Where
a row has a score, each of which is above -32752 here, a hidden place weighs at most exp(-32752), which is 0 in float32
as in float16. Where a row has none, all its places hold the same number before and after, and share alike.

A number that is added to the score, ``score + -1e9 * not mask``, is another case: in a row that is hidden throughout,
the scores would come through the cut. It is not among these.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from mmkeras.core.errors import require

__all__ = ["LOWEST", "hiding_nodes"]

LOWEST = -65504.0
"""The lowest float16 number."""
_MOVES = ("Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


def hiding_nodes(proto: Any) -> dict[str, str]:
    """Return the values that a huge negative constant reaches on its way to a softmax, each with the score it hides.

    Args:
        proto: an ``onnx.ModelProto`` in float32.

    Returns:
        Names of values that may be cut, and for each that of the scores, which must be above -32752 themselves.
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
        """Return the values that the constant reaches and the scores, where a node chooses between the two."""
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
        first, second = self._condition(inverse), self._condition(mask)
        if first is None or second is None:
            return False
        negated = self.makers.get(first)
        return negated is not None and negated.op_type == "Not" and negated.input[0] == second

    def _condition(self, name: str) -> str | None:
        cast = self.makers.get(name)
        return str(cast.input[0]) if cast is not None and cast.op_type == "Cast" else None

    def _to_softmax(self, name: str) -> list[str] | None:
        """Return the values from one to the softmaxes that alone read it, or None where anything else does."""
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
