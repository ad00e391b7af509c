"""TensorRT: checks an ONNX file by the documented operators of the parsers 8.6 and 10, and with an installed parser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from export.doctor.cures import rewrite
from export.doctor.onnx_graph import OnnxGraph
from export.doctor.verdicts import Examination, Finding, Verdict
from export.to_tensorrt.lint import lint
from mmkeras.core.errors import DependencyError
from mmkeras.runtime.tensorrt.library import installed, open_library

__all__ = ["examine_tensorrt"]


def examine_tensorrt(graph: OnnxGraph | str, versions: Sequence[str], say: Callable[[str], None]) -> Examination:
    """Return the examination of a model's ONNX graph for some of `export.to_tensorrt.rules.VERSIONS`."""
    result = Examination("tensorrt", tuple(f"operators of TensorRT {version}" for version in versions))
    if isinstance(graph, str):
        message = "there is no ONNX file to build an engine from"
        result.add(Finding(Verdict.UNKNOWN, True, (), (), message, "fix the findings of --target onnx first"))
        return result
    result.operators = graph.operators()
    say("tensorrt: checking the operators")
    refused = _documented(graph, versions, result)
    say("tensorrt: reading it with the installed parser")
    _installed(graph, refused, result)
    return result


def _documented(graph: OnnxGraph, versions: Sequence[str], result: Examination) -> set[str]:
    """Report what the versions' documentation excludes; return the names of the nodes that a version refuses."""
    operators = {node.name or node.outputs[0]: node.operator for node in graph.facts.nodes}
    merged: dict[tuple[Any, ...], list[str]] = {}
    for finding in lint(graph.proto):
        if finding.version in versions:
            key = (finding.error, finding.node, finding.message, finding.cure)
            merged.setdefault(key, []).append(finding.version)
    for (error, node, message, cure), found in merged.items():
        layers = (node,) if node in graph.facts.inputs else graph.layers.get(node, ())
        operator = operators.get(node, "")
        # A finding for all versions is reported without them.
        limited = () if len(found) == len(versions) > 1 else tuple(found)
        text = message if operator or not node else f"{graph.scopes.plain(node)}: {message}"
        named = (operator,) if operator else ()
        verdict = _verdict(message, error)
        better = rewrite(operator) if verdict == Verdict.PLUGIN else cure
        result.add(Finding(verdict, error, layers, named, text, better, limited))
    return {node for (error, node, *_), _ in merged.items() if error}


def _verdict(message: str, error: bool) -> Verdict:
    if "int64" in message or "32 bits" in message:
        return Verdict.INT64
    if "is not supported" in message or "is of the domain" in message:
        return Verdict.PLUGIN
    return Verdict.REFUSED if error else Verdict.CAUTION


def _installed(graph: OnnxGraph, refused: set[str], result: Examination) -> None:
    """Parse the file with an installed TensorRT; nodes that the documentation refuses are not reported again."""
    if not installed():
        result.notes.append("not parsed, as no TensorRT is installed here: pip install 'mmkeras[tensorrt-rtx]'")
        return
    try:
        library = open_library(to_run=False)
    except DependencyError as error:
        result.notes.append(f"not parsed: {error}")
        return
    trt = library.module
    result.tried += (f"parser of {library.name} {library.version}",)
    flags = getattr(trt, "NetworkDefinitionCreationFlag", None)
    flag = next((name for name in ("STRONGLY_TYPED", "EXPLICIT_BATCH") if hasattr(flags, name)), None)
    builder = trt.Builder(library.logger)
    network = builder.create_network(1 << int(getattr(flags, flag)) if flag else 0)
    parser = trt.OnnxParser(network, library.logger)
    if parser.parse(graph.proto.SerializeToString()):
        return
    for index in range(parser.num_errors):
        problem = parser.get_error(index)
        name, operator = (str(getattr(problem, what, str)() or "") for what in ("node_name", "node_operator"))
        if name in refused:
            continue
        layers = graph.layers.get(name, ())
        text = graph.scopes.plain(str(problem.desc())).strip()
        unknown = text in ("", "false") or "Plugin not found" in text
        verdict = Verdict.PLUGIN if unknown else Verdict.REFUSED
        message = f"{operator or 'a node'} is not supported" if unknown else f"{operator}: {text}"[:300]
        cure = rewrite(operator)
        result.add(Finding(verdict, True, layers, (operator,) if operator else (), message, cure, (str(library.name),)))
    if not parser.num_errors:
        message = f"the parser refuses it: {graph.scopes.plain(library.errors())}"
        result.add(Finding(Verdict.REFUSED, True, (), (), message, "see the message", (str(library.name),)))
