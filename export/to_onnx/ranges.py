"""The magnitudes of an ONNX graph's tensors on real samples, from which int8 scales are computed.

A symmetric scale depends on absolute values only. Each tensor has a histogram of them with 2048 bins, whose range
doubles when a larger value occurs, so one pass is enough and memory does not grow with the samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import ExportError, require

__all__ = ["BATCH", "LEVELS", "Magnitudes", "inner_tensors", "measure_magnitudes"]

BINS = 2048
"""Bins of a histogram: a tenth of the range still has two hundred."""
LEVELS = 127
"""Steps of int8 on each side of zero."""
FLOOR = 1e-30
"""The smallest range, so that the number of bins per unit stays finite."""
BATCH = 8
"""Samples per run of the graph, fewer where their inputs are larger than `_INPUT_BYTES`."""
_INPUT_BYTES = 2**21
"""Largest inputs of a run, which keeps every tensor of the graph."""


class Magnitudes:
    """The absolute values of one tensor."""

    def __init__(self) -> None:
        self.largest = 0.0
        self._counts = np.zeros(BINS, np.int64)
        self._top = 0.0

    def add(self, values: np.ndarray) -> None:
        """Count finite values of any shape except zeros, which every scale represents exactly.

        Raises:
            ValueError: a value is NaN or infinite.
        """
        sizes = np.abs(values, dtype=np.float32).ravel()
        largest = float(sizes.max(initial=0.0))
        if not np.isfinite(largest):
            raise ValueError("NaN or infinite")
        if largest == 0.0:
            return
        self.largest = max(self.largest, largest)
        self._reach(largest)
        sizes = sizes[sizes > 0]
        index = np.minimum((sizes * (BINS / self._top)).astype(np.int32), BINS - 1)
        self._counts += np.bincount(index, minlength=BINS)

    def limit(self) -> float:
        """Return the limit with the smallest mean squared error; 0 where every value is 0.

        Larger values are cut to the limit. A lower limit has finer steps for all values but cuts more of them.
        """
        if not self.largest:
            return 0.0
        width = self._top / BINS
        sizes = (np.arange(BINS) + 0.5) * width
        counts = self._counts.astype(np.float64)
        limits = np.append(np.arange(BINS // 16, int(self.largest / width), 4) * width, self.largest)
        errors = [_error(sizes, counts, limit) for limit in limits]
        return float(limits[int(np.argmin(errors))])

    def _reach(self, size: float) -> None:
        if not self._top:
            self._top = max(size, FLOOR)
        while self._top < size:
            pairs = self._counts.reshape(-1, 2).sum(1)
            self._counts = np.concatenate([pairs, np.zeros(BINS // 2, np.int64)])
            self._top *= 2


def _error(sizes: np.ndarray, counts: np.ndarray, limit: float) -> float:
    step = limit / LEVELS
    # The rounding error is uniform up to half a step, and the whole value where that rounds to zero.
    error = np.where(sizes < step / 2, sizes**2, step**2 / 12)
    error = np.where(sizes > limit, (sizes - limit) ** 2, error)
    return float(counts @ error)


def measure_magnitudes(
    path: Path, tensors: Sequence[str], inputs: Mapping[str, np.ndarray], work: Path
) -> dict[str, Magnitudes]:
    """Run a graph on samples and return the magnitudes of some of its float32 tensors, which may be graph inputs.

    ``inputs`` are N samples, arrays (N, ...) by name. ``work`` is a folder for a copy of the file with these tensors as
    outputs, removed afterwards.

    Raises:
        ExportError: samples are missing or do not fit the graph, or a tensor becomes NaN or infinite.
        DependencyError: onnx or onnxruntime is missing.
    """
    found = {name: Magnitudes() for name in tensors}
    first = 0
    for done, values in inner_tensors(path, list(found), inputs, work):
        for name, magnitudes in found.items():
            try:
                magnitudes.add(values[name])
            except ValueError as error:
                raise ExportError(
                    f"{path.name}: the tensor {name!r} is {error} on one of the samples {first} to {done - 1}, so it "
                    "has no range. Check these samples and the model."
                ) from error
        first = done
    return found


def inner_tensors(
    path: Path, tensors: Sequence[str], inputs: Mapping[str, np.ndarray], work: Path
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield after each batch the number of finished samples and the tensors' values; see `measure_magnitudes`."""
    onnx = require("onnx", "export")
    proto = onnx.load(path)
    given = [value.name for value in proto.graph.input]
    count = _sample_count(given, inputs)
    made = {name for node in proto.graph.node for name in node.output}
    computed = [name for name in dict.fromkeys(tensors) if name in made]
    # A graph needs outputs: it keeps its own where only graph inputs are wanted.
    if computed:
        del proto.graph.output[:]
        proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in computed)
    outputs = [value.name for value in proto.graph.output]
    probe = work / f"{path.stem}.probe.onnx"
    onnx.save(proto, probe)
    try:
        session = _session(probe)
        size = int(np.clip(_INPUT_BYTES // max(1, sum(inputs[name][:1].nbytes for name in given)), 1, BATCH))
        for start in range(0, count, size):
            batch = {name: np.ascontiguousarray(inputs[name][start : start + size]) for name in given}
            values = batch | dict(zip(outputs, _run(session, outputs, batch), strict=True))
            yield min(start + size, count), {name: values[name] for name in tensors}
    finally:
        probe.unlink(missing_ok=True)


def _sample_count(given: Sequence[str], inputs: Mapping[str, np.ndarray]) -> int:
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
