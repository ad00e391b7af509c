"""Assigns rows to shards; the same rows and configuration give the same plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmkeras.core.config import DataConfig
from mmkeras.data.quarantine import BadRow
from mmkeras.data.sources import Sample
from mmkeras.data.splits import SPLITS, assign, check, check_groups, fill
from mmkeras.data.together import contents_of, grouped, on_both_sides

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """The shards that a conversion will write."""

    shards: list[tuple[str, str, list[Sample]]]
    """File name, split and rows of every shard."""
    bad: list[BadRow]
    """Rows without a known split."""
    left_out: dict[str, int]
    """Rows beyond the limit, by split."""
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """Rows kept together, files in several splits, and unusual rows that are used."""

    @property
    def rows(self) -> int:
        """Rows that will be checked."""
        return len(self.bad) + sum(len(samples) for _, _, samples in self.shards)


def make_plan(samples: Sequence[Sample], config: DataConfig, files: Collection[str] = ()) -> Plan:
    """Assign rows to splits and shards.

    Rows without a group that share a file stay in one split (``data.keep_together``); ``files`` names the modalities
    whose values are files or bytes.

    Training rows are shuffled here once, so that the stream is mixed for every order of the source. The other splits
    keep that order. Records hold a number instead of a group's name, which may identify a person: groups are numbered
    within each split in the order of its rows. A sample without a group has its own number.

    Raises:
        DataError: see `check` and `check_groups`.
    """
    good, bad = _readable(samples)
    check(good, config)
    contents = contents_of(good, files, "path" if config.keep_together == "path" else "content")
    together, notes = (good, []) if config.keep_together == "none" else grouped(good, contents)
    splits = assign(together, config)
    check_groups(good, splits)
    if notes:  # groups that the user did not give must not leave a split empty
        splits = fill(together, splits, config)
    good = together
    notes = [*_remarks(good), *notes, *on_both_sides(good, contents, splits)]
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
    return Plan(shards, bad, left_out, tuple(columns), tuple(notes))


def _remarks(samples: Sequence[Sample]) -> list[str]:
    """Return a note for each remark: its number of rows, and the first of them."""
    counts = Counter(remark for sample in samples for remark in sample.remarks)
    first = {remark: sample.origin for sample in reversed(samples) for remark in sample.remarks}
    return [f"{count} rows: {remark} (the first at {first[remark]})" for remark, count in counts.most_common()]


def _numbered(rows: Sequence[Sample]) -> list[Sample]:
    numbers: dict[tuple[bool, str], int] = {}
    names = [(bool(sample.group), sample.group or sample.key) for sample in rows]
    return [
        replace(sample, group_number=numbers.setdefault(name, len(numbers)))
        for sample, name in zip(rows, names, strict=True)
    ]


def _readable(samples: Sequence[Sample]) -> tuple[list[Sample], list[BadRow]]:
    """Separate the rows that the source could not parse, and those whose key is used already."""
    good, bad = [], []
    first: dict[str, str] = {}
    for sample in samples:
        if isinstance(sample.target, Exception):
            bad.append(BadRow(sample.origin, sample.key, "", "row", str(sample.target)))
        elif sample.key in first:
            reason = f"the key {sample.key!r} is used already at {first[sample.key]}"
            bad.append(BadRow(sample.origin, sample.key, "", "row", reason))
        else:
            first[sample.key] = sample.origin
            good.append(sample)
    return good, bad
