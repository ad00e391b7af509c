"""Checks whether TensorRT 8.6 and 10 accept an ONNX file, without TensorRT.

``python -m export.tensorrt_lint FILE.onnx ...`` prints the findings, each with its Keras layer and a cure. For an error
the parser refuses the file; a warning is undocumented, or causes problems later.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.to_onnx.facts import Facts, Node
from export.to_tensorrt.rules import VERSIONS, found
from mmkeras.core.errors import DataError, MmkerasError, require
from mmkeras.core.terminal import say, utf8_program

__all__ = ["Finding", "lint", "lint_file", "main", "summary"]


@dataclass(frozen=True)
class Finding:
    """One problem of a file for a version of TensorRT."""

    version: str
    """``8.6`` or ``10``."""
    error: bool
    node: str
    """Name of the node, input or output; empty for the whole file."""
    layer: str
    """Keras layer, where the node's name or a neighbour's contains it."""
    message: str
    cure: str


def lint_file(path: Path) -> list[Finding]:
    """Check an ONNX file. See `lint`."""
    onnx = require("onnx", "export")
    try:
        proto = onnx.load(str(path))
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there. Give an ONNX file.") from error
    except Exception as error:  # protobuf's errors have no common class of their own
        raise DataError(
            f"{path} cannot be read as ONNX: {str(error) or type(error).__name__}. Export it again."
        ) from error
    if not proto.graph.node and not proto.graph.output:
        raise DataError(f"{path} holds no graph: it is truncated or not an ONNX file. Export it again.")
    try:
        return lint(proto)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # Raised by onnx's helpers for numbers and names that no valid file holds.
        raise DataError(f"{path} is not valid ONNX ({type(error).__name__}: {error}). Export it again.") from error


def lint(proto: Any) -> list[Finding]:
    """Return the problems of an ``onnx.ModelProto`` for TensorRT 8.6 and 10."""
    facts = Facts.of(proto)
    findings = []
    for version, parser in VERSIONS.items():
        for error, node, message, cure in found(facts, parser):
            name, layer = (node.name or node.outputs[0], facts.layer(node)) if isinstance(node, Node) else (node, "")
            findings.append(Finding(version, error, name, layer, message, cure))
    return list(dict.fromkeys(findings))


def summary(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Return readable lines by version, errors first; findings that differ only in their node share a line."""
    lines: dict[str, list[str]] = {}
    for version in VERSIONS:
        groups: dict[tuple[bool, str, str], list[Finding]] = {}
        for finding in findings:
            if finding.version == version:
                groups.setdefault((not finding.error, finding.message, finding.cure), []).append(finding)
        lines[version] = [
            f"{'warning' if warning else 'error'}: {message}{_where(group)}; {cure}"
            for (warning, message, cure), group in sorted(groups.items(), key=lambda item: item[0][0])
        ]
    return lines


def _where(group: Sequence[Finding]) -> str:
    first = group[0]
    if not first.node:
        return ""
    layer = f" in the Keras layer {first.layer}" if first.layer else ""
    more = f", and {len(group) - 1} more" if len(group) > 1 else ""
    return f" ({first.node}{layer}{more})"


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings; return 0 if every version accepts all files, 1 if one is refused, 2 if one is unreadable."""
    parser = argparse.ArgumentParser("python -m export.tensorrt_lint", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.onnx")
    status = 0
    for path in parser.parse_args(arguments).files:
        try:
            findings = lint_file(path)
        except MmkerasError as error:
            say(f"{type(error).__name__}: {error}", to=sys.stderr)
            return 2
        for version, lines in summary(findings).items():
            say(f"{path}: TensorRT {version}: {'' if lines else 'ok'}")
            for line in lines:
                say(f"  {line}")
        status |= int(any(finding.error for finding in findings))
    return status
