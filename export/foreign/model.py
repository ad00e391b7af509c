"""Opens a model file of any tool, and runs it on real numbers whatever the types of its inputs and outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["Model", "Tensor", "real_outputs"]


@dataclass(frozen=True)
class Tensor:
    """An input of a file."""

    name: str
    shape: tuple[int | None, ...]
    """Without the batch dimension; None where the file takes any size."""
    dtype: str
    """numpy dtype name."""
    scale: float = 0.0
    """Scale of an input in integers; 0 for an input that is not quantised."""
    zero_point: int = 0

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest real value that an input in integers can hold."""
        if np.dtype(self.dtype).kind not in "iu":
            return -np.inf, np.inf
        least, most = np.iinfo(self.dtype).min, np.iinfo(self.dtype).max
        if not self.scale:
            return float(least), float(most)
        return self.scale * (least - self.zero_point), self.scale * (most - self.zero_point)

    def store(self, values: np.ndarray) -> np.ndarray:
        """Return real values in the type of the input: quantised, and clipped to its range; or cast.

        Raises:
            DataError: an integer input without a scale cannot hold the values, because they are fractions or too large.
        """
        if self.scale:
            info = np.iinfo(self.dtype)
            quantised = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
            return np.clip(quantised, info.min, info.max).astype(self.dtype)
        stored = np.asarray(values)
        if np.dtype(self.dtype).kind in "iu" and stored.dtype.kind == "f":
            least, most = self.limits
            if stored.size and not (np.isfinite(stored).all() and least <= stored.min() and stored.max() <= most):
                raise DataError(f"{self.name}: expected values from {least:g} to {most:g}, got {_span(stored)}")
            if not np.array_equal(stored, np.rint(stored)):
                raise DataError(f"{self.name}: expected whole numbers ({self.dtype}), got fractions: {_span(stored)}")
        return stored.astype(self.dtype)

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        quantised = f", {self.scale:g} * (q - {self.zero_point})" if self.scale else ""
        return f"{self.name} {self.dtype} (B{', ' if sizes else ''}{sizes}){quantised}"


def _span(values: np.ndarray) -> str:
    return f"{np.nanmin(values):g} to {np.nanmax(values):g}"


class Model(ABC):
    """A file that is loaded. As a context manager it closes itself."""

    def __init__(self, path: Path, format: str) -> None:
        self.path = path
        self.format = format
        """``tflite``, ``onnx``, ``saved_model``, ``keras`` or ``tensorrt``."""
        self.inputs: tuple[Tensor, ...] = ()
        self.batch: int | None = None
        """Static batch size; None if the file takes any size."""
        self.notes: list[str] = []
        """Remarks for the report: the signature that was chosen, outputs that are no numbers."""
        self.rescales: bool | None = None
        """Whether the model itself scales pixels from 0..255; None where that is not known."""

    @abstractmethod
    def run(self, inputs: dict[str, np.ndarray]) -> Mapping[str, Any]:
        """Run a batch of the size that the file takes, in the types of the file."""

    @property
    def bytes(self) -> int:
        """Size of the file, of the files in its folder, or with the files that it refers to."""
        parts = [self.path] if self.path.is_file() else [each for each in self.path.rglob("*") if each.is_file()]
        return sum(each.stat().st_size for each in parts)

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run samples, real values (B, ...) by input name, and return real values by output name.

        A batch is filled with copies of its last sample where the file takes batches of one size only.

        Raises:
            DataError: an input cannot hold the values, or the engine fails.
        """
        stored = {tensor.name: tensor.store(inputs[tensor.name]) for tensor in self.inputs}
        count = len(next(iter(stored.values())))
        try:
            return self._in_batches(stored, count, self.batch or count)
        except DataError:
            if self.batch is not None or count == 1:
                raise
        # Exporters often leave the batch size open though an operation inside has a fixed one.
        found = self._in_batches(stored, count, 1)
        self.batch = 1
        self.notes.append("its batch size is not fixed, but it fails on batches of more than one sample")
        return found

    def _in_batches(self, stored: dict[str, np.ndarray], count: int, size: int) -> dict[str, np.ndarray]:
        parts: list[dict[str, np.ndarray]] = []
        for start in range(0, count, size):
            part = {name: value[start : start + size] for name, value in stored.items()}
            short = size - len(next(iter(part.values())))
            if short:
                part = {name: np.concatenate([value, *[value[-1:]] * short]) for name, value in part.items()}
            found = self.outputs_of(part)
            parts.append({name: value[: size - short] for name, value in found.items()})
        return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}

    def outputs_of(self, stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one batch in the types of the file and return the outputs that are numbers, as real values."""
        return real_outputs(self.run(stored), len(next(iter(stored.values()))), self.notes, lambda name, value: value)

    def close(self) -> None:  # noqa: B027  # not every engine has something to release
        """Release the file."""

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def real_outputs(
    outputs: Mapping[str, Any], count: int, notes: list[str], real: Callable[[str, np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the outputs that are numbers with a row for each of ``count`` samples, as ``real`` turns them.

    A list of dicts (the probabilities by class of scikit-learn's converters) becomes a row of numbers for each sample.
    What is left out is said in ``notes``.
    """
    found = {}
    for name, value in outputs.items():
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            value = np.array([list(row.values()) for row in value])
        array = np.asarray(value)
        if array.dtype.kind not in "fiub" or not array.ndim or len(array) != count:
            note = (
                f"output {name} is left out: {array.dtype} {array.shape} is no array of numbers with a row per sample"
            )
            if note not in notes and not any(each.startswith(f"output {name} is left out") for each in notes):
                notes.append(note)
            continue
        found[name] = real(name, array)
    return found
