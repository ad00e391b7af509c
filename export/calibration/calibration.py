"""A calibration set: the inputs on which ranges are measured, with their keys and strata."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["Calibration", "Strata", "fingerprint_of"]

Strata = dict[str, dict[str, int]]
"""Samples by stratum, for each way to divide them: ``{"class": {"red": 12, ...}, "text_length": {"5-8": 50, ...}}``."""


@dataclass(frozen=True)
class Calibration:
    """Samples to measure the ranges of a static int8 file on."""

    inputs: dict[str, np.ndarray]
    """Tensors and presence inputs (N, ...) by name, as the model takes them."""
    keys: tuple[str, ...]
    """Key of each sample (N,) in its dataset; a sample that was changed carries its scenario in brackets."""
    source: str
    """Where the samples are from: ``train`` for that split of the converted data, or the path of a file."""
    strata: Strata = field(default_factory=dict)
    """Samples by class, scenario, modalities present and length."""
    warnings: tuple[str, ...] = ()
    """Findings of the audit."""

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.keys)

    @cached_property
    def fingerprint(self) -> str:
        """Hex sha256 of the inputs: names, dtypes, shapes and bytes."""
        return fingerprint_of(self.inputs)

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield each sample as a batch of one, arrays (1, ...) by input name."""
        for row in range(len(self)):
            yield {name: array[row : row + 1] for name, array in self.inputs.items()}

    def take(self, rows: Iterable[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Return the inputs (n, ...) of some samples."""
        picked = np.asarray(rows, np.int64)
        return {name: array[picked] for name, array in self.inputs.items()}

    def with_warnings(self, warnings: Iterable[str]) -> Calibration:
        """Return the same samples with further warnings, each once."""
        return dataclasses.replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *warnings))))

    def to_json(self) -> dict[str, Any]:
        """Return the entry in export.json and in the manifest's provenance."""
        return {
            "samples": len(self),
            "source": self.source,
            "fingerprint": self.fingerprint,
            "strata": {name: dict(counts) for name, counts in self.strata.items()},
            "warnings": list(self.warnings),
        }


def fingerprint_of(inputs: Mapping[str, np.ndarray]) -> str:
    """Return the hex sha256 of arrays by name, whatever their order and the machine's byte order."""
    sha = hashlib.sha256()
    for name in sorted(inputs):
        array = np.asarray(inputs[name])
        stored = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        sha.update(f"{name} {stored.dtype.name} {stored.shape}\n".encode())
        sha.update(stored.tobytes())
    return sha.hexdigest()
