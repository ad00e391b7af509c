"""The evaluated samples as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.storage.privacy import redaction
from mmkeras.tasks import TaskSpec

if TYPE_CHECKING:
    from mmkeras.data.index import Index
    from mmkeras.data.read import Record

__all__ = ["Samples", "collect", "read"]


@dataclass(frozen=True)
class Samples:
    """N samples in a fixed order."""

    inputs: dict[str, np.ndarray]
    """Model inputs (N, ...) by name, including the presence inputs."""
    targets: np.ndarray
    """Encoded targets (N, ...); several targets are a record array."""
    weights: np.ndarray
    """Sample weights (N,) float32."""
    keys: tuple[str, ...] = ()
    """Names of the samples; by default their positions."""
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    """Columns (N,) of strings to slice by."""
    raw: tuple[Mapping[str, Any], ...] = ()
    """Raw values by modality, for pictures; may be empty."""
    drawable: bool = True
    """Whether the inputs may be shown in pictures."""
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """Group of each sample (N,): samples of one group depend on each other and are resampled together. By default every
    sample is a group of its own."""

    def __post_init__(self) -> None:
        if not len(self.groups):
            object.__setattr__(self, "groups", np.arange(len(self.targets)))
        lengths = {
            **{f"input {name}": len(value) for name, value in self.inputs.items()},
            **{f"column {name}": len(value) for name, value in self.columns.items()},
            "weights": len(self.weights),
            "groups": len(self.groups),
            **({"keys": len(self.keys)} if self.keys else {}),
            **({"raw values": len(self.raw)} if self.raw else {}),
        }
        wrong = {name: length for name, length in lengths.items() if length != len(self)}
        if wrong or not len(self):
            raise DataError(
                f"Expected at least one sample and everything of the same length as the targets ({len(self)}), "
                f"got {wrong}. Evaluate a split that has samples, and collect records and batches in one order."
            )

    def __len__(self) -> int:
        return len(self.targets)

    def key(self, position: int) -> str:
        """Return the name of one sample."""
        return self.keys[position] if self.keys else str(position)

    def take(self, chosen: np.ndarray) -> Samples:
        """Return the samples at some positions (n,)."""
        return Samples(
            inputs={name: value[chosen] for name, value in self.inputs.items()},
            targets=self.targets[chosen],
            weights=self.weights[chosen],
            keys=tuple(self.key(int(i)) for i in chosen),
            columns={name: value[chosen] for name, value in self.columns.items()},
            raw=tuple(self.raw[int(i)] for i in chosen) if self.raw else (),
            drawable=self.drawable,
            groups=self.groups[chosen],
        )

    def shown(self) -> Samples:
        """Return the samples with names, texts and raw values redacted as ``privacy.redact`` requires."""
        now = redaction()
        if not now.texts:
            return self
        raw = tuple({name: now.value(value) for name, value in row.items()} for row in self.raw)
        return replace(
            self,
            keys=tuple(now.name(self.key(position)) for position in range(len(self))),
            columns={
                name: np.asarray([now.name(str(value)) for value in values]) for name, values in self.columns.items()
            },
            raw=() if now.everything else raw,
            drawable=self.drawable and not now.everything,
        )

    def spread(self, count: int) -> Samples:
        """Return at most ``count`` samples, spread evenly over the split."""
        if len(self) <= count:
            return self
        return self.take(np.unique(np.linspace(0, len(self) - 1, count).round().astype(np.int64)))


def collect(batches: Iterable[Any], task: TaskSpec, records: Sequence[Record] = ()) -> Samples:
    """Stack a finite dataset.

    Args:
        batches: ``(inputs, {output: target}, weights)`` with an optional weight, as ``eval_dataset`` yields.
        task: the task, which maps outputs to targets.
        records: the same samples in the same order, with keys, columns, groups and raw values.

    Raises:
        DataError: no samples, or records of other samples.
    """
    inputs: dict[str, list[np.ndarray]] = {}
    targets, weights = [], []
    output = task.outputs[0].name
    for batch in batches:
        tensors, target = batch[0], batch[1]
        target = task.rows_of(target) if isinstance(target, Mapping) else np.asarray(target)
        weight = batch[2] if len(batch) > 2 else np.ones(len(target))
        weight = weight[output] if isinstance(weight, Mapping) else weight
        for name, value in tensors.items():
            inputs.setdefault(name, []).append(np.asarray(value))
        targets.append(target)
        weights.append(np.asarray(weight, np.float32).reshape(-1))
    if not targets:
        raise DataError("Expected at least one batch to evaluate, got none. Check the split and its conversion.")
    stacked = np.concatenate(targets)
    if records and not (len(records) == len(stacked) and all(map(_same, (each.target for each in records), stacked))):
        raise DataError(
            f"Expected raw records and batches of the same samples in the same order, got {len(records)} records "
            f"for {len(stacked)} samples with other targets. Read both from the same index and split."
        )
    names = sorted({name for record in records for name in record.columns})
    return Samples(
        inputs={name: np.concatenate(parts) for name, parts in inputs.items()},
        targets=stacked,
        weights=np.concatenate(weights),
        keys=tuple(record.key for record in records),
        columns={name: np.asarray([str(r.columns.get(name, "")) for r in records]) for name in names},
        raw=tuple(record.values for record in records),
        groups=np.asarray([record.group for record in records], np.int64),
    )


def _same(given: Any, wanted: np.ndarray) -> bool:
    if wanted.dtype.names:
        return all(_same(given[name], wanted[name]) for name in wanted.dtype.names)
    given = np.asarray(given)
    if given.size != wanted.size:
        return False
    if wanted.dtype.kind != "f":
        return bool(np.array_equal(given.reshape(wanted.shape), wanted))
    return bool(np.allclose(given.reshape(wanted.shape), wanted, atol=1e-6, equal_nan=True))


def read(index: Index, split: str, specs: Mapping[str, Any], task: TaskSpec, *, batch_size: int = 256) -> Samples:
    """Read one split of a converted dataset, with its raw records.

    Args:
        index: the converted dataset.
        split: ``"test"``, ``"validation"`` or ``"train"``.
        specs: modality specs by name.
        task: the task spec.
        batch_size: samples decoded at a time.

    Raises:
        DataError: no samples in the split, or a damaged shard.
    """
    from mmkeras.data.dataset import eval_dataset
    from mmkeras.data.read import explained_errors, read_samples

    with explained_errors(index):
        batches = eval_dataset(index, split, specs, task, batch_size=batch_size)
        return collect(batches, task, read_samples(index, split))
