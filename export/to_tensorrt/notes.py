"""Writes ``edge/tensorrt.md`` into a bundle: the commands that build an engine of each ONNX file, by TensorRT version.

The commands name the inputs with their shapes, and the precision flags of the version: 8.6 needs a flag for the file's
precision, 10 one to follow the file's types, 11 always follows them.

Source: TensorRT documentation, trtexec, and Migrating trtexec Usage from TensorRT 8.x to 10.x and from 10.x to 11.x.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from export.to_tensorrt.lint import lint_file, summary
from export.to_tensorrt.rules import VERSIONS
from mmkeras.modalities import TensorSpec
from mmkeras.storage.files import write_text

__all__ = ["NOTES", "TOOLS", "engine_notes", "trtexec", "write_notes"]

NOTES = "edge/tensorrt.md"
TOOLS = ("8.6", "10", "11", "rtx")
_LARGEST, _BEST = 8, 1
_WORKSPACE_MIB = 1024
_HEADER = """# TensorRT engines of {name}, version {version}

An engine runs on the GPU and with the TensorRT that built it, so it is built on the device:

    mmkeras build-engine BUNDLE

builds one with the TensorRT that is installed there and describes the engine in a JSON file beside it. `mmkeras
selftest` then compares it with the golden samples, and `mmkeras predict BUNDLE --format tensorrt` runs it. The commands
below build the same engine with TensorRT's own tool. They write no such description, and mmkeras loads no engine
without one. Run them in the bundle's folder, after `mkdir -p engines`.

The precision is that of the ONNX file. TensorRT 8.6 needs a flag to use it, 10 follows the file with `--stronglyTyped`,
11 always does. Batch sizes are 1 to {largest}, tuned for {best}; the scratch memory is limited to {workspace} MiB.
"""


def trtexec(tool: str, onnx: str, precision: str, inputs: Iterable[TensorSpec], engine: str) -> str:
    """Return the command line that builds an engine."""
    tensors = list(inputs)
    words = ["tensorrt_rtx" if tool == "rtx" else "trtexec", f"--onnx={onnx}", f"--saveEngine={engine}"]
    for flag, batch in (("minShapes", 1), ("optShapes", _BEST), ("maxShapes", _LARGEST)):
        words.append(f"--{flag}={','.join(_shape(tensor, batch) for tensor in tensors)}")
    words.append(f"--memPoolSize=workspace:{_WORKSPACE_MIB}")
    if tool != "rtx":
        words += ["--timingCacheFile=engines/timing.cache", "--noTF32"]
    if tool == "8.6":
        words += {"float16": ["--fp16"], "int8": ["--int8"]}.get(precision.partition("-")[0], [])
    if tool == "10":
        words.append("--stronglyTyped")
    # Only build: the self-test does the first run of an engine.
    words.append("--skipInference")
    return " ".join(shlex.quote(word) for word in words)


def engine_notes(file: Path, path: str, precision: str, inputs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Return export.json's entry about engines of an ONNX file: refusing versions, findings and commands.

    ``path`` is the file's path in the bundle, ``precision`` its name in the manifest; the inputs have no batch
    dimension.

    Raises:
        DataError: the file cannot be read as ONNX.
    """
    findings = lint_file(file)
    refused = {finding.version for finding in findings if finding.error}
    # 11 and tensorrt-rtx accept at least what 10 accepts.
    tools = [tool for tool in TOOLS if tool not in refused and (tool == "8.6" or "10" not in refused)]
    engine = f"engines/{Path(path).name.removesuffix('.onnx')}.plan"
    return {
        "refused_by": sorted(refused, key=list(VERSIONS).index),
        "findings": summary(findings),
        "commands": {tool: trtexec(tool, path, precision, inputs, engine) for tool in tools},
    }


def write_notes(folder: Path, name: str, version: int, engines: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Write the notes of a bundle and return their path in it; None for a bundle without ONNX files.

    ``engines`` are the entries of `engine_notes` by path of the ONNX file.
    """
    if not engines:
        return None
    text = [_HEADER.format(name=name, version=version, largest=_LARGEST, best=_BEST, workspace=_WORKSPACE_MIB)]
    for path, engine in engines.items():
        text.append(f"\n## {path}\n")
        releases_by_lines: dict[tuple[str, ...], list[str]] = {}
        for release, lines in engine["findings"].items():
            releases_by_lines.setdefault(tuple(lines), []).append(release)
        for same, releases in releases_by_lines.items():
            refused = set(engine["refused_by"]) & set(releases)
            verdict = "refuses this file" if refused else "no error found"
            text.append(f"- TensorRT {' and '.join(releases)}: {verdict}{':' if same else '.'}")
            text += [f"  - {line}" for line in same]
        for tool, command in engine["commands"].items():
            title = "tensorrt-rtx (its tool is called tensorrt_rtx)" if tool == "rtx" else f"TensorRT {tool}"
            text += [f"\n{title}:\n", f"    {command}"]
    write_text(folder / NOTES, "\n".join(text) + "\n")
    return NOTES


def _shape(tensor: TensorSpec, batch: int) -> str:
    # trtexec splits at colons; a name with a colon is put in single quotes.
    name = f"'{tensor.name}'" if ":" in tensor.name else tensor.name
    return f"{name}:{'x'.join(str(size) for size in (batch, *tensor.shape))}"
