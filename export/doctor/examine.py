"""Examines a model for each chosen target and collects the results."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from export.doctor.converter import Converter
from export.doctor.report import Report
from export.doctor.verdicts import Examination
from export.to_tensorrt.rules import VERSIONS

if TYPE_CHECKING:
    import keras

__all__ = ["TARGETS", "examine", "examine_model"]

TARGETS = ("tflite", "onnx", "tensorrt")


def examine(
    name: str,
    options: Sequence[str] = (),
    *,
    targets: Sequence[str] = TARGETS,
    versions: Sequence[str] = tuple(VERSIONS),
    modules: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Build or load a model, see `open_subject`, and examine it.

    ``targets`` are some of `TARGETS`, ``versions`` those of TensorRT; ``say`` is called with the progress.

    Raises:
        MmkerasError: there is no such model, or it cannot be built or loaded.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mmkeras-doctor-") as scratch, Converter() as converter:
        if "tflite" in targets:
            converter.start()  # loads TensorFlow in parallel to this process
        say("loading TensorFlow and building the model")
        from export.doctor.subject import open_subject

        subject = open_subject(name, options, modules, Path(scratch))
        found, layers, parts = examine_model(
            subject.model, converter, Path(scratch), targets=targets, versions=versions, say=say
        )
    seconds = time.monotonic() - began
    return Report(subject.name, subject.trained, subject.notes, layers, parts, found, seconds)


def examine_model(
    model: keras.Model,
    converter: Converter,
    work: Path,
    *,
    targets: Sequence[str] = TARGETS,
    versions: Sequence[str] = tuple(VERSIONS),
    say: Callable[[str], None] = lambda text: None,
) -> tuple[tuple[Examination, ...], dict[str, str], dict[str, str]]:
    """Examine a model that is in memory: functional, float32, with a dict of inputs and a dict of outputs.

    Returns:
        One examination per target in the order of `TARGETS`; the classes of the layers by path, in the order in which
        they are called; the part of the model by the first name of a path.
    """
    from export.doctor.litert import LiteRTExamination
    from export.doctor.onnx_graph import convert, examine_onnx
    from export.doctor.report import parts
    from export.doctor.tensorrt_parsers import examine_tensorrt

    found: list[Examination] = []
    kinds: dict[str, str] = {}
    # LiteRT first: its converter runs in a process of its own while this one converts to ONNX.
    litert = LiteRTExamination(model, converter, work, say) if "tflite" in targets else None
    if {"onnx", "tensorrt"} & set(targets):
        say("onnx: converting")
        graph = convert(model)
        if not isinstance(graph, str):
            kinds = graph.scopes.kinds
        if "onnx" in targets:
            found.append(examine_onnx(model, graph, say))
        if "tensorrt" in targets:
            found.append(examine_tensorrt(graph, versions, say))
    if litert is not None:
        kinds = kinds or litert.scopes.kinds
        found.insert(0, litert.finish())
    return tuple(found), _worth_showing(kinds, found), parts(model)


def _worth_showing(kinds: Mapping[str, str], found: Sequence[Examination]) -> dict[str, str]:
    """Return the layers with operations or findings, and those without inner layers."""
    holders = {path.rpartition("/")[0] for path in kinds}
    known = {path for each in found for path in each.operators}
    known |= {path for each in found for finding in each.findings for path in finding.layers}
    return {
        path: kind
        for path, kind in kinds.items()
        if path and kind != "InputLayer" and (path in known or path not in holders)
    }
