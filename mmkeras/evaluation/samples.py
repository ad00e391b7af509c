"""The evaluated samples as arrays, prepared once and read by every pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.storage.privacy import redaction
from mmkeras.tasks import TaskSpec

__all__ = ["RawRecord", "Samples", "collect", "read"]


class RawRecord(Protocol):
    """A sample as the data gives it, see ``mmkeras.data.read``."""

    @property
    def key(self) -> str:
        """Unique name of the sample."""

    @property
    def values(self) -> Mapping[str, Any]:
        """Raw value by modality, ``None`` where it is missing."""

    @property
    def target(self) -> Any:
        """Encoded target."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Columns to slice by."""

    @property
    def group(self) -> int:
        """Number of its group: the frames of one scene, the questions of one picture."""


@dataclass(frozen=True)
class Samples:
    """N samples in a fixed order."""

    inputs: dict[str, np.ndarray]
    """Model inputs (N, ...) by name, presence inputs among them."""
    targets: np.ndarray
    """Encoded targets (N, ...); of several a record array."""
    weights: np.ndarray
    """Sample weights (N,) float32."""
    keys: tuple[str, ...] = ()
    """Names of the samples; their positions when not given."""
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    """Columns (N,) of strings to slice by."""
    raw: tuple[Mapping[str, Any], ...] = ()
    """Raw values by modality, for pictures; empty when there are none."""
    drawable: bool = True
    """Whether pictures may be made of the inputs."""
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """Group of each sample (N,): samples of one group depend on each other, and are drawn together. Every sample has a
    group of its own when none are given."""

    def __post_init__(self) -> None:
        """Check that everything speaks of the same samples."""
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
                f"Expected at least one sample and everything of the same length as the targets "
                f"({len(self)}), "
                f"got {wrong}. Evaluate a split that holds samples, and collect records and batches in one "
                f"order."
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
        """Return the samples as ``privacy.redact`` lets them be written: the same inputs, other names and texts."""
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
        """Return about so many samples from all over the split, or all of them."""
        if len(self) <= count:
            return self
        return self.take(np.unique(np.linspace(0, len(self) - 1, count).round().astype(np.int64)))


def collect(batches: Iterable[Any], task: TaskSpec, records: Sequence[RawRecord] = ()) -> Samples:
    """Stack a finite dataset.

    Args:
        batches: ``(inputs, {output: target}, weights)`` with an optional weight, as ``eval_dataset`` yields.
        task: says which target an output is trained on.
        records: the same samples in the same order; they bring keys, columns, groups and raw values.

    Raises:
        DataError: no samples, or records that are not those of the batches.
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
    _check_records(records, stacked)
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


def _check_records(records: Sequence[RawRecord], targets: np.ndarray) -> None:
    if not records:
        return
    if len(records) != len(targets) or not all(map(_same, (record.target for record in records), targets)):
        raise DataError(
            f"Expected raw records and batches of the same samples in the same order, got {len(records)} "
            f"records "
            f"for {len(targets)} samples with other targets. Read both from the same index and split."
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


def read(index: Any, split: str, specs: Mapping[str, Any], task: TaskSpec, *, batch_size: int = 256) -> Samples:
    """Read one split of a converted dataset, with its raw records.

    Args:
        index: ``mmkeras.data`` index of the converted dataset.
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
