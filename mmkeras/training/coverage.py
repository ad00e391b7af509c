"""Measures before training which share of the data the vocabularies and lengths of a run leave out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from mmkeras.core.console import Console
from mmkeras.data.coverage import coverage, warnings
from mmkeras.data.index import Index
from mmkeras.data.read import iterate_samples
from mmkeras.modalities import ModalitySpec

__all__ = ["SAMPLES", "measure"]

SAMPLES = 2000
"""Samples of each split that are measured; the shards of the training split are shuffled."""


def measure(
    index: Index, specs: Mapping[str, ModalitySpec], console: Console
) -> dict[str, dict[str, dict[str, float]]]:
    """Return `mmkeras.data.coverage.coverage` by split, and print a warning for each share above its limit.

    Raises:
        DataError: a shard is damaged.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for split in (name for name, each in index.splits.items() if each.samples):
        records = itertools.islice(iterate_samples(index, split), SAMPLES)
        shares = coverage(specs, (record.values for record in records))
        found |= {split: shares} if shares else {}
        for line in warnings(shares, f"the split {split}"):
            console.print(line, style="yellow", highlight=False, soft_wrap=True)
    return found
