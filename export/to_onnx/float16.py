"""float16 in ONNX, with float32 islands where float16 would overflow or underflow, or by choice.

The file's metadata lists the Keras layers of its islands, see `islands_of`. Inputs and outputs stay float32. Without
islands, the file is the output of ONNX Runtime's converter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.quantization.layers import QuantizedLayer
from export.to_onnx.facts import Facts
from export.to_onnx.islands import ENTRY, Island, find_islands
from mmkeras.core.errors import ExportError, nearest, require
from mmkeras.runtime.differences.contents import part_of

__all__ = ["Float16Quantizer", "islands_of"]


class Float16Quantizer:
    """Writes float16 files of one float32 ONNX file. Implements `export.quantization.layers.Quantizer`.

    A layer is a Keras layer with all its nodes.
    """

    def __init__(self, float32: Path, samples: Mapping[str, np.ndarray], work: Path) -> None:
        """Find the islands on N samples, arrays (N, ...) by input name.

        ``work`` is a folder for temporary copies of the file.
        """
        onnx = require("onnx", "export")
        named = work / f"{float32.stem}.named.onnx"
        self._proto = onnx.load(float32)
        _name_nodes(self._proto)
        onnx.save(self._proto, named)
        try:
            self.islands: tuple[Island, ...] = find_islands(named, samples, work)
        finally:
            named.unlink(missing_ok=True)
        self._nodes = _nodes_by_layer(self._proto, {island.node for island in self.islands})
        self.layers: tuple[QuantizedLayer, ...] = _layers(self._proto, self._nodes)
        """Layers that can be kept in float32, in the order of the graph; islands always are."""

    def write(self, path: Path, keep: Iterable[str] = ()) -> None:
        """Write a file that computes in float16, except for the islands and the layers named in ``keep``."""
        onnx = require("onnx", "export")
        # onnxconverter-common's function of the same name writes files that do not load.
        float16 = require("onnxruntime.transformers.float16", "export")
        kept = tuple(keep)
        if unknown := sorted(set(kept) - self._nodes.keys()):
            raise ExportError(f"No layer is called {unknown[0]!r}; {nearest(unknown[0], self._nodes)}")
        blocked = [*(island.node for island in self.islands), *(node for name in kept for node in self._nodes[name])]
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        _own_constants(proto, set(blocked))
        proto = float16.convert_float_to_float16(proto, keep_io_types=True, node_block_list=blocked)
        _sort(proto.graph)
        if blocked:
            _join_islands(proto)
            layers = dict.fromkeys(kept, "float16 is not precise enough")
            for island in self.islands:
                layers.setdefault(island.layer or island.node, island.reason)
            entry = proto.metadata_props.add()
            entry.key, entry.value = ENTRY, json.dumps(layers)
        onnx.save(proto, path)


def _nodes_by_layer(proto: Any, left_out: set[str]) -> dict[str, list[str]]:
    facts = Facts.of(proto)
    found: dict[str, list[str]] = {}
    for node in facts.nodes:
        if node.name not in left_out and (layer := facts.layer(node)):
            found.setdefault(layer, []).append(node.name)
    return found


def _layers(proto: Any, nodes: Mapping[str, Iterable[str]]) -> tuple[QuantizedLayer, ...]:
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in proto.graph.initializer}
    weights = {node.name: sum(sizes.get(name, 0) for name in node.input) for node in proto.graph.node}
    return tuple(
        QuantizedLayer(layer, layer, part_of(layer), "float16", sum(weights.get(name, 0) for name in names))
        for layer, names in nodes.items()
    )


def islands_of(path: Path) -> dict[str, str]:
    """Return the Keras layers that a file of `Float16Quantizer` computes in float32, each with the reason."""
    proto = require("onnx", "export").load(path, load_external_data=False)
    found: dict[str, str] = next((json.loads(item.value) for item in proto.metadata_props if item.key == ENTRY), {})
    return found


def _name_nodes(proto: Any) -> None:
    """Give every node a unique name, by which the converter can leave it out."""
    seen: set[str] = set()
    for node in proto.graph.node:
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}:{node.output[0]}"
        seen.add(node.name)


def _own_constants(proto: Any, blocked: set[str]) -> None:
    """Give islands a copy of each constant that other nodes read too: the converter turns those into float16."""
    onnx = require("onnx", "export")
    floats = {t.name: t for t in proto.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    shared = {name for node in proto.graph.node if node.name not in blocked for name in node.input if name in floats}
    copies: dict[str, str] = {}
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if node.name in blocked and name in shared:
                copies[name] = node.input[index] = f"{name}_float32"
    for name, own in copies.items():
        copy = onnx.TensorProto()
        copy.CopyFrom(floats[name])
        copy.name = own
        proto.graph.initializer.append(copy)


def _join_islands(proto: Any) -> None:
    """Remove casts to float16 and back between the nodes of an island, which the converter writes."""
    onnx = require("onnx", "export")
    known = onnx.shape_inference.infer_shapes(proto).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*known.input, *known.value_info, *known.output)}
    target = onnx.helper.get_node_attr_value
    casts = {n.output[0]: (n.input[0], target(n, "to")) for n in proto.graph.node if n.op_type == "Cast"}
    back = {}
    for name, (halved, to) in casts.items():
        source, half = casts.get(halved, ("", 0))
        if (to, half) == (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16) and types.get(source) == to:
            back[name] = source
    outputs = {value.name for value in proto.graph.output}
    for node in proto.graph.node:
        if node.output[0] in outputs and node.output[0] in back:
            node.op_type, node.input[0] = "Identity", back[node.output[0]]
            del node.attribute[:]
        for index, name in enumerate(node.input):
            node.input[index] = back.get(name, name)
    _drop_unread(proto.graph, outputs)


def _drop_unread(graph: Any, outputs: Iterable[str]) -> None:
    kept, read = [], set(outputs)
    for node in reversed(graph.node):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _sort(graph: Any) -> None:
    """Sort the nodes topologically: the float16 conversion appends its casts at the end."""
    known = {i.name for i in graph.input} | {i.name for i in graph.initializer} | {""}
    waiting, done = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise ExportError(f"The float16 graph has a cycle at {waiting[0].name}.")
        done += ready
        known.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    del graph.node[:]
    graph.node.extend(done)
