"""Which row goes into which shard; the same rows and configuration give the same plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmkeras.config import DataConfig
from mmkeras.data.quarantine import BadRow
from mmkeras.data.sources import Sample
from mmkeras.data.splits import SPLITS, assign

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What a conversion will write."""

    shards: list[tuple[str, str, list[Sample]]]
    """File name, split and rows of every shard."""
    bad: list[BadRow]
    """Rows that could not be read far enough to be planned."""
    left_out: dict[str, int]
    """Rows beyond the limit, by split."""
    columns: tuple[str, ...]
    """Columns to slice by, sorted."""

    @property
    def rows(self) -> int:
        """Rows that will be looked at."""
        return len(self.bad) + sum(len(samples) for _, _, samples in self.shards)


def make_plan(samples: Sequence[Sample], config: DataConfig) -> Plan:
    """Assign rows to splits and shards.

    Training rows are shuffled here once, so that a stream from the shards is mixed however the source is sorted. The
    other splits keep the source's order. Records hold a number in place of a group's name, which may be that of a
    person: groups are numbered within each split in the order of its rows. A sample without a group has a number of its
    own.

    Raises:
        DataError: see `assign`.
    """
    good, bad = _readable(samples)
    splits = assign(good, config)
    shards: list[tuple[str, str, list[Sample]]] = []
    left_out = {}
    for split in SPLITS:
        rows = [sample for sample, side in zip(good, splits, strict=True) if side == split]
        if config.limit is not None and len(rows) > config.limit:
            left_out[split] = len(rows) - config.limit
            rows = rows[: config.limit]
        if split == "train":
            rows = [rows[i] for i in np.random.default_rng(config.split_seed).permutation(len(rows))]
        rows = _numbered(rows)
        for number, start in enumerate(range(0, len(rows), config.samples_per_shard)):
            shards.append((f"{split}-{number:05d}.tfrecord", split, rows[start : start + config.samples_per_shard]))
    columns = sorted({name for sample in good for name in sample.columns})
    return Plan(shards, bad, left_out, tuple(columns))


def _numbered(rows: Sequence[Sample]) -> list[Sample]:
    numbers: dict[tuple[bool, str], int] = {}
    names = [(bool(sample.group), sample.group or sample.key) for sample in rows]
    return [
        replace(sample, group_number=numbers.setdefault(name, len(numbers)))
        for sample, name in zip(rows, names, strict=True)
    ]


def _readable(samples: Sequence[Sample]) -> tuple[list[Sample], list[BadRow]]:
    """Take out rows that the source could not parse, and keys that came before."""
    good, bad = [], []
    first: dict[str, str] = {}
    for sample in samples:
        if isinstance(sample.target, Exception):
            bad.append(BadRow(sample.origin, sample.key, "", "row", str(sample.target)))
        elif sample.key in first:
            reason = f"the key {sample.key!r} stands already at {first[sample.key]}"
            bad.append(BadRow(sample.origin, sample.key, "", "row", reason))
        else:
            first[sample.key] = sample.origin
            good.append(sample)
    return good, bad
