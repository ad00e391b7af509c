"""Runs an ONNX graph on samples and gives out its inner tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import ExportError, require

__all__ = ["BATCH", "inner_tensors", "sample_count"]

BATCH = 8
"""Samples in one run of the graph."""


def inner_tensors(
    path: Path, tensors: Sequence[str], inputs: Mapping[str, np.ndarray], work: Path
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield, batch after batch, the samples done and the values of some tensors.

    Args:
        path: the ONNX file.
        tensors: names; inputs of the graph may be among them.
        inputs: N samples, arrays (N, ...) by name of the input.
        work: folder for a copy of the file that gives out these tensors; removed in the end.

    Raises:
        ExportError: samples are missing or do not fit the graph.
        DependencyError: onnx or onnxruntime is missing.
    """
    onnx = require("onnx", "export")
    proto = onnx.load(path)
    given = [value.name for value in proto.graph.input]
    count = sample_count(given, inputs)
    made = {name for node in proto.graph.node for name in node.output}
    computed = [name for name in dict.fromkeys(tensors) if name in made]
    # A graph needs outputs: it keeps its own where nothing computed is asked for.
    if computed:
        del proto.graph.output[:]
        proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in computed)
    outputs = [value.name for value in proto.graph.output]
    probe = work / f"{path.stem}.probe.onnx"
    onnx.save(proto, probe)
    try:
        session = _session(probe)
        for start in range(0, count, BATCH):
            batch = {name: np.ascontiguousarray(inputs[name][start : start + BATCH]) for name in given}
            values = batch | dict(zip(outputs, _run(session, outputs, batch), strict=True))
            yield min(start + BATCH, count), {name: values[name] for name in tensors}
    finally:
        probe.unlink(missing_ok=True)


def sample_count(given: Sequence[str], inputs: Mapping[str, np.ndarray]) -> int:
    """Return N, the number of samples.

    Args:
        given: names of the graph's inputs.
        inputs: arrays (N, ...) by name.

    Raises:
        ExportError: names are missing or too many, there are no samples, or the arrays disagree on N.
    """
    if set(given) != set(inputs):
        raise ExportError(f"The samples are not the model's inputs: expected {sorted(given)}, got {sorted(inputs)}.")
    sizes = {name: len(value) for name, value in inputs.items()}
    if len(set(sizes.values())) != 1 or not max(sizes.values()):
        raise ExportError(f"Expected the same number of samples, at least 1, in every input, got {sizes}.")
    return max(sizes.values())


def _session(path: Path) -> Any:
    ort = require("onnxruntime", "export")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions derive from Exception and from nothing narrower
        raise ExportError(f"ONNX Runtime does not load the graph: {str(error).splitlines()[0]}") from error


def _run(session: Any, outputs: list[str], batch: dict[str, np.ndarray]) -> list[np.ndarray]:
    try:
        values: list[np.ndarray] = session.run(outputs, batch)
    except Exception as error:
        raise ExportError(f"ONNX Runtime does not run the samples: {str(error).splitlines()[0]}") from error
    return values
