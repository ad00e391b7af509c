"""What TensorFlow traced: the operations of a function."""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["traced_operations"]


def traced_operations(function: Any) -> Counter[str]:
    """Count the operations of a concrete function by type, also those of the functions that it calls."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    return Counter(node.op for node in nodes)
