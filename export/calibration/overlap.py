"""Calibration samples that are test samples too: a file tuned on what it is scored on is scored too well."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from export.calibration.calibration import Calibration, fingerprint_of
from export.calibration.traits import RawSample
from mmkeras.modalities import ModalitySpec

__all__ = ["overlap_warnings", "shared_samples"]

REMEMBERED = 100_000
"""Raw values whose tensors need not be made twice: pictures and questions come again and again."""


def overlap_warnings(
    calibration: Calibration,
    test: Iterable[RawSample],
    specs: Mapping[str, ModalitySpec],
    step: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Return a line if samples are in the test split too, by the hash of their tensors; an empty list otherwise."""
    shared = shared_samples(calibration, test, specs, step)
    if not shared:
        return []
    key, other = next(iter(shared.items()))
    return [
        f"{len(shared)} of the {len(calibration)} samples are in the test split too, such as {key} (there {other}): "
        "the scores measured on that split flatter the file."
    ]


def shared_samples(
    calibration: Calibration,
    test: Iterable[RawSample],
    specs: Mapping[str, ModalitySpec],
    step: Callable[[str], None] = lambda line: None,
) -> dict[str, str]:
    """Return the test sample's key by the calibration sample's for those whose tensors are all the same.

    Args:
        calibration: the samples.
        test: test samples with their raw values, read once.
        specs: modality specs by name.
        step: called with a line on every thousandth test sample.
    """
    # The small modalities first: one that no calibration sample has spares the preparation of the large ones.
    ordered = sorted(specs.values(), key=lambda spec: sum(int(np.prod(t.shape)) for t in spec.tensors))
    prepared = [(spec.name, _Digests(spec), _rows_by_digest(calibration, spec)) for spec in ordered]
    shared: dict[str, str] = {}
    for position, sample in enumerate(test):
        if position % 1000 == 0:
            step(f"calibration: compared with {position} test samples")
        rows = set(range(len(calibration)))
        for name, digests, known in prepared:
            rows &= known.get(digests.of(sample.values.get(name)), set())
            if not rows:
                break
        shared |= {calibration.keys[row]: sample.key for row in rows}
    return shared


class _Digests:
    """Digests of a modality's tensors by their raw value."""

    def __init__(self, spec: ModalitySpec) -> None:
        self._spec = spec
        self._names = _names(spec)
        self._seen: dict[bytes, str] = {}

    def of(self, value: Any) -> str:
        """Return the digest of the tensors that a raw value becomes."""
        if not isinstance(value, str | bytes):
            return self._digest(value)
        raw = hashlib.sha256(value.encode() if isinstance(value, str) else value).digest()
        if raw not in self._seen:
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[raw] = self._digest(value)
        return self._seen[raw]

    def _digest(self, value: Any) -> str:
        tensors = self._spec.inputs(value)
        return fingerprint_of({name: tensors[name] for name in self._names})


def _rows_by_digest(calibration: Calibration, spec: ModalitySpec) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for row in range(len(calibration)):
        digest = fingerprint_of({name: calibration.inputs[name][row] for name in _names(spec)})
        found.setdefault(digest, set()).add(row)
    return found


def _names(spec: ModalitySpec) -> list[str]:
    return [tensor.name for tensor in (*spec.tensors, spec.present)]
