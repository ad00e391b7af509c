"""Samples that an export verifies and calibrates on, and how they are drawn from a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.tasks import TaskSpec, task_from_json

if TYPE_CHECKING:
    from mmkeras.data.index import Index
    from mmkeras.data.read import Record

__all__ = ["Sample", "draw", "groups_of", "spread_rows", "stratum"]


@dataclass(frozen=True)
class Sample:
    """A real sample with its raw values."""

    key: str
    """Key in its dataset."""
    values: dict[str, Any]
    """Raw value by modality: bytes or text; ``None`` where it is missing."""
    target: np.ndarray
    """Encoded target; of a submodel's sample, the whole model's."""
    weight: float = 1.0
    """Weight in the metric."""
    columns: dict[str, str] = field(default_factory=dict)
    """Value by column of the data; the values divide the samples into slices."""
    group: str | int | None = None
    """Scene, picture or patient that makes samples depend on each other; None for a group of its own."""


def groups_of(samples: Sequence[Sample]) -> np.ndarray:
    """Return the number of each sample's group, int64 (N,); a sample without a group has a number of its own."""
    numbers: dict[object, int] = {}
    names = [("", place) if sample.group is None else sample.group for place, sample in enumerate(samples)]
    return np.asarray([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def draw(index: Index, split: str, limit: int) -> list[Sample]:
    """Return at most ``limit`` samples of a split, with the split's shares of classes and groups.

    The rows are sorted by class, then by group, and taken at equal distances. The result has the order of the split.
    """
    from mmkeras.data.read import iterate_samples

    if index.samples(split) <= limit:
        return [_sample(record) for record in iterate_samples(index, split)]
    task = task_from_json(index.task)
    order = [(stratum(task, record.target), record.group) for record in iterate_samples(index, split)]
    chosen = set(spread_rows(order, limit).tolist())
    return [_sample(record) for row, record in enumerate(iterate_samples(index, split)) if row in chosen]


def spread_rows(order: Sequence[tuple[Any, ...]], limit: int) -> np.ndarray:
    """Return the numbers of at most ``limit`` rows at equal distances in the order of their sort keys, ascending."""
    ranked = sorted(range(len(order)), key=lambda row: (order[row], row))
    if limit >= len(ranked):
        return np.arange(len(ranked))
    # The middle of each of `limit` equal parts.
    places = ((np.arange(limit) + 0.5) * len(ranked) / limit).astype(np.int64)
    return np.sort(np.asarray(ranked)[places])


def stratum(task: TaskSpec, target: np.ndarray) -> tuple[Any, ...]:
    """Return the sort key of a target: its class, labels or number, or the classes of its objects."""
    value = np.asarray(target)
    if value.ndim < 2 and value.dtype.names is None:
        return tuple(value.reshape(-1).tolist())
    # A mask, or several targets.
    return tuple(sorted(task.classes_of(target)))


def _sample(record: Record) -> Sample:
    return Sample(record.key, dict(record.values), record.target, record.weight, dict(record.columns), record.group)
