"""Traits of every sample of a split, without its values: kind, present modalities, lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from mmkeras.modalities import ModalitySpec, TensorSpec
from mmkeras.tasks import TaskSpec

__all__ = ["RawSample", "Traits", "length_bins", "mask_of", "read_traits"]

NOTHING = "none"
"""Kind of a sample whose target holds no label."""
PARTS = 5
"""Number of quantile bins for a numeric target (regression)."""
BINS = 4
"""Number of quantile bins for a length."""


class RawSample(Protocol):
    """An unchanged sample: a record of converted data, or a sample in memory."""

    @property
    def key(self) -> str:
        """Its name in the source."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Raw value by modality; None where it is missing."""

    @property
    def target(self) -> np.ndarray:
        """Encoded target."""


@dataclass(frozen=True)
class Traits:
    """N samples of a split in its order."""

    labels: tuple[tuple[str, ...], ...]
    """Labels in each sample's target; empty for an empty scene and for a regression."""
    kinds: tuple[str, ...]
    """Group of each sample in the choice: the rarest label of its target, with the number of objects where samples
    have several; for a numeric target its quantile."""
    present: np.ndarray
    """bool (N, modalities), in the order of the specs."""
    lengths: dict[str, np.ndarray]
    """int64 (N,) by name: tokens, points or objects of each sample; 0 where the modality is missing."""


def read_traits(
    samples: Iterable[RawSample],
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    step: Callable[[str], None] = lambda line: None,
) -> Traits:
    """Read samples one by one and keep their traits; ``step`` is called with a line on every thousandth sample."""
    measures = {name: _length_of(spec, mask) for name, spec in specs.items() if (mask := mask_of(spec))}
    lengths: dict[str, list[int]] = {f"{name}_length": [] for name in measures}
    labels, present = [], []
    numbers: list[np.ndarray] = []
    for position, sample in enumerate(samples):
        if position % 1000 == 0:
            step(f"calibration: {position} samples read")
        labels.append(tuple(task.classes_of(sample.target)))
        present.append([sample.values.get(name) is not None for name in specs])
        if not labels[-1]:
            numbers.append(_numbers(sample.target))
        for name, measure in measures.items():
            value = sample.values.get(name)
            lengths[f"{name}_length"].append(0 if value is None else measure(value))
    found = {name: np.asarray(values, np.int64) for name, values in lengths.items()}
    kinds = _rarest(labels) if any(labels) or not labels else _parts(np.stack(numbers))
    if any(len(each) > 1 for each in labels):
        found["objects"] = np.asarray([len(each) for each in labels], np.int64)
        bins, names = length_bins(found["objects"])
        # Otherwise nearly empty scenes would be chosen as often as all scenes with a rare object.
        kinds = tuple(f"{kind}, {names[bin]} objects" for kind, bin in zip(kinds, bins, strict=True))
    return Traits(tuple(labels), kinds, np.asarray(present, bool), found)


def _numbers(target: np.ndarray) -> np.ndarray:
    """Return the numbers of a target without labels; one 0 for a mask, or for several targets."""
    return np.zeros(1) if np.ndim(target) > 1 or target.dtype.names else np.ravel(target)


def mask_of(spec: ModalitySpec) -> TensorSpec | None:
    """Return the mask of the real tokens or points of a modality, None for a modality without one."""
    found = [t for t in spec.tensors if t.name.endswith("mask") and len(t.shape) == 1 and t.dtype == "int32"]
    return found[0] if found else None


def length_bins(lengths: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Divide lengths (N,) into quarters; return the quarter of each length, and each quarter's name such as ``5-8``."""
    inner = np.quantile(lengths, np.arange(1, BINS) / BINS, method="inverted_cdf") if len(lengths) else np.array([])
    raw = np.searchsorted(np.unique(inner), lengths, side="left")
    # Equal quantiles leave empty bins.
    used, bins = np.unique(raw, return_inverse=True)
    names = []
    for bin in range(len(used)):
        members = lengths[bins == bin]
        low, high = int(members.min()), int(members.max())
        names.append(str(low) if low == high else f"{low}-{high}")
    return bins, names


def _length_of(spec: ModalitySpec, mask: TensorSpec) -> Callable[[Any], int]:
    def measure(value: Any) -> int:
        return int(spec.preprocess(value)[mask.name].sum())

    # Questions and phrases repeat; point clouds do not.
    remembered = lru_cache(maxsize=100_000)(measure)
    return lambda value: remembered(value) if isinstance(value, str) else measure(value)


def _rarest(labels: list[tuple[str, ...]]) -> tuple[str, ...]:
    seen = Counter(label for each in labels for label in set(each))
    return tuple(min(each, key=lambda label: (seen[label], label)) if each else NOTHING for each in labels)


def _parts(numbers: np.ndarray) -> tuple[str, ...]:
    """Return the quantile bin of each sample by the mean of its K standardized numbers (N, K)."""
    spread = numbers.std(axis=0)
    along = ((numbers - numbers.mean(axis=0)) / np.where(spread > 0, spread, 1)).mean(axis=1)
    edges = np.quantile(along, np.arange(1, PARTS) / PARTS)
    return tuple(f"target, part {part + 1} of {PARTS}" for part in np.searchsorted(edges, along))
