"""Writes ``edge/tensorrt.md`` into a bundle: how to build an engine of each ONNX file, with what each version takes.

The commands are exact for the file: names and shapes of the inputs, and the precision flags that the version needs.
In 8.6 a flag allows the precision that the file holds; in 10 the network is built as the file is typed, in 11 always.

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

builds one with the TensorRT that is installed there and writes beside it what it was built for; `mmkeras selftest`
then holds it to the golden samples, and `mmkeras predict BUNDLE --format tensorrt` runs it. The commands below do the
same build with TensorRT's own tool, without these checks: mmkeras loads no engine that does not say what it was built
for. Run them in the bundle's folder, after `mkdir -p engines`.

The precision stands in the ONNX file. TensorRT 8.6 needs a flag to use it, 10 follows the file with `--stronglyTyped`,
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
    """Return export.json's entry about engines of an ONNX file: who refuses it and why, and the commands.

    ``path`` is where the file lies in the bundle, ``precision`` as the manifest names it; the inputs have no batch
    dimension.

    Raises:
        DataError: the file cannot be read as ONNX.
    """
    findings = lint_file(file)
    refused = {finding.version for finding in findings if finding.error}
    # 11 and tensorrt-rtx take what 10 takes.
    tools = [tool for tool in TOOLS if tool not in refused and (tool == "8.6" or "10" not in refused)]
    engine = f"engines/{Path(path).name.removesuffix('.onnx')}.plan"
    return {
        "refused_by": sorted(refused, key=list(VERSIONS).index),
        "findings": summary(findings),
        "commands": {tool: trtexec(tool, path, precision, inputs, engine) for tool in tools},
    }


def write_notes(folder: Path, name: str, version: int, engines: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Write the notes of a bundle and return their path in it, or ``None`` where it has no ONNX file.

    ``engines`` are the entries of `engine_notes` by path of the ONNX file.
    """
    if not engines:
        return None
    text = [_HEADER.format(name=name, version=version, largest=_LARGEST, best=_BEST, workspace=_WORKSPACE_MIB)]
    for path, engine in engines.items():
        text.append(f"\n## {path}\n")
        said: dict[tuple[str, ...], list[str]] = {}
        for release, lines in engine["findings"].items():
            said.setdefault(tuple(lines), []).append(release)
        for same, releases in said.items():
            verdict = "nothing found that it would refuse"
            if set(engine["refused_by"]) & set(releases):
                verdict = "refuses this file"
            text.append(f"- TensorRT {' and '.join(releases)}: {verdict}{':' if same else '.'}")
            text += [f"  - {line}" for line in same]
        for tool, command in engine["commands"].items():
            title = "tensorrt-rtx (its tool is called tensorrt_rtx)" if tool == "rtx" else f"TensorRT {tool}"
            text += [f"\n{title}:\n", f"    {command}"]
    write_text(folder / NOTES, "\n".join(text) + "\n")
    return NOTES


def _shape(tensor: TensorSpec, batch: int) -> str:
    # trtexec cuts at colons; a name that has one stands in single quotes.
    name = f"'{tensor.name}'" if ":" in tensor.name else tensor.name
    return f"{name}:{'x'.join(str(size) for size in (batch, *tensor.shape))}"
