"""ONNX: checks that every operation exists in the opset of exports, and that ONNX Runtime loads the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export.doctor.culprits import blame
from export.doctor.cures import broken, rewrite
from export.doctor.scopes import Scopes, Step, origins, recorded
from export.doctor.verdicts import Examination, Finding, Verdict
from export.doctor.verdicts import reason as reason_of
from export.to_onnx.facts import Facts, Node

# The proto before the check of an export, which stops at the first invalid operation.
from export.to_onnx.onnx_from_keras import OPSET, float32_graph, quiet
from mmkeras.core.errors import MmkerasError, require

if TYPE_CHECKING:
    import keras

__all__ = ["OnnxGraph", "convert", "examine_onnx"]


@dataclass(frozen=True)
class OnnxGraph:
    """A converted model with the layers of its nodes."""

    proto: Any
    """The ``onnx.ModelProto``; it may hold operations that are not in ONNX."""
    facts: Facts
    scopes: Scopes
    layers: dict[str, tuple[str, ...]]
    """Paths of the layers by the node's name and by the names of its outputs."""

    def of(self, node: Node) -> tuple[str, ...]:
        """Return the paths of a node's layers."""
        return self.layers.get(node.name or node.outputs[0], ())

    def operators(self) -> dict[str, Counter[str]]:
        """Return the count of each operator by the path of its layer."""
        counted: dict[str, Counter[str]] = {}
        for node in self.facts.nodes:
            if node.operator != "Constant":
                for path in self.of(node) or ("",):
                    counted.setdefault(path, Counter())[node.operator] += 1
        return counted


def convert(model: keras.Model) -> OnnxGraph | str:
    """Convert a model as an export does, without checking the result; return why where that fails."""
    with recorded() as scopes, quiet():
        try:
            proto = float32_graph(model)
        except MmkerasError:
            raise
        except Exception as error:  # tf2onnx, or a layer that is traced, may raise anything
            return scopes.plain(str(error) or type(error).__name__)
    facts = Facts.of(proto)
    steps = [
        Step(
            (node.name, *node.outputs),
            tuple(name for name in node.inputs if name and not facts.is_constant(name)),
            node.outputs,
        )
        for node in facts.nodes
    ]
    layers: dict[str, tuple[str, ...]] = {}
    for node, paths in zip(facts.nodes, origins(steps, scopes), strict=True):
        layers.update(dict.fromkeys((node.name, *node.outputs), paths))
    return OnnxGraph(proto, facts, scopes, layers)


def examine_onnx(model: keras.Model, graph: OnnxGraph | str, say: Callable[[str], None]) -> Examination:
    """Return the examination of a model by its ONNX graph, see `convert`."""
    onnx, tf2onnx = require("onnx", "export"), require("tf2onnx", "export")
    runtime = require("onnxruntime", "export")
    tried = (f"tf2onnx {tf2onnx.__version__}, opset {OPSET}", f"ONNX Runtime {runtime.__version__}")
    result = Examination("onnx", tried)
    if isinstance(graph, str):
        blame(result, model, _problem, graph, Scopes(), say)
        return result
    result.operators = graph.operators()
    for node in graph.facts.nodes:
        if not onnx.defs.has(node.operator, OPSET, node.domain):
            message = f"ONNX has no form for {node.operator}"
            cure = rewrite(node.operator)
            result.add(Finding(Verdict.NO_FORM, True, graph.of(node), (node.operator,), message, cure))
    if not result.errors:
        say("onnx: loading it in ONNX Runtime")
        _load(onnx, runtime, graph, result)
    return result


def _load(onnx: Any, runtime: Any, graph: OnnxGraph, result: Examination) -> None:
    """Check the file and load it: the runtime lacks kernels for some operators and types that ONNX has."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        onnx.checker.check_model(graph.proto, full_check=True)
        runtime.InferenceSession(graph.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # both raise classes of their own for every kind of failure
        text = str(error)
        layers = graph.scopes.of(";".join(re.findall(r"[\w./:-]+", text)))
        reason = reason_of(graph.scopes.plain(text))
        kinds = [graph.scopes.kind(path) for path in layers]
        message = f"ONNX Runtime refuses the file: {reason}"
        result.add(Finding(Verdict.REFUSED, True, layers, (), message, broken(reason, kinds)))


def _problem(part: keras.Model) -> str:
    graph = convert(part)
    return graph if isinstance(graph, str) else ""
