"""How large the tensors of an ONNX graph become on real samples: what the scales of int8 are made of.

Only the size of a value counts, because a symmetric scale has one number. A histogram with 2048 bins of every tensor's
sizes grows with what it sees, so one pass over the samples is enough and memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from export.to_onnx.probe import inner_tensors
from mmkeras.core.errors import ExportError

__all__ = ["LEVELS", "Magnitudes", "measure_magnitudes"]

BINS = 2048
"""Bins of a histogram: a range cut to a tenth still has two hundred."""
LEVELS = 127
"""Steps of int8 on each side of zero."""
FLOOR = 1e-30
"""The finest range, so that a number of bins a unit stays finite."""


class Magnitudes:
    """The sizes of one tensor's values."""

    def __init__(self) -> None:
        self.largest = 0.0
        """The largest size seen."""
        self._counts = np.zeros(BINS, np.int64)
        self._top = 0.0

    def add(self, values: np.ndarray) -> None:
        """Count values of any shape; zeros are left out, since every scale writes them exactly.

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
        """Return the largest size that int8 should keep, 0 where every value is 0.

        Larger values are cut to it. It is the limit with the smallest mean squared error: a lower one has finer steps
        for all values but cuts more of them.
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
    # Rounding errs by up to half a step evenly, and by the whole value where that rounds to zero.
    error = np.where(sizes < step / 2, sizes**2, step**2 / 12)
    error = np.where(sizes > limit, (sizes - limit) ** 2, error)
    return float(counts @ error)


def measure_magnitudes(
    path: Path,
    tensors: Sequence[str],
    inputs: Mapping[str, np.ndarray],
    work: Path,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Magnitudes]:
    """Run a graph on samples and return the sizes of some of its float tensors.

    Args:
        path: the ONNX file.
        tensors: names of float32 tensors in it; inputs of the graph may be among them.
        inputs: N samples, arrays (N, ...) by name of the input.
        work: folder for a copy of the file that gives out these tensors; removed afterwards.
        step: called with the samples done and N; for a progress bar.

    Raises:
        ExportError: samples are missing or do not fit the graph, or a tensor becomes NaN or infinite.
        DependencyError: onnx or onnxruntime is missing.
    """
    found = {name: Magnitudes() for name in tensors}
    total = max(map(len, inputs.values()), default=0)
    first = 0
    for done, values in inner_tensors(path, list(found), inputs, work):
        for name, magnitudes in found.items():
            try:
                magnitudes.add(values[name])
            except ValueError as error:
                raise ExportError(
                    f"{path.name}: the tensor {name!r} is {error} on one of the samples {first} to {done - 1}, so it "
                    "has no range. Look at these samples, or at the model."
                ) from error
        step(done, total)
        first = done
    return found
