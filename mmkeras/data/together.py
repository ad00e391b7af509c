"""Rows that hold the same file stay on one side of a split, and what stands on both sides is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mmkeras.data.sources import Sample

__all__ = ["grouped", "on_both_sides"]


def grouped(samples: Sequence[Sample], contents: Sequence[tuple[str, ...]]) -> tuple[list[Sample], list[str]]:
    """Return the samples with a group for those that have none and share a file, and a note on them.

    The group is that of another row with the file, or else the key of the first such row in the table: so the first
    row stays on its side when others with its file come later, and rows that share nothing stay where they are.

    Args:
        samples: all samples.
        contents: what each of them holds, from `mmkeras.data.contents.contents_of`.
    """
    roots = _joined(contents)
    members: Counter[int] = Counter(roots)
    names: dict[int, str] = {}
    for sample, root in zip(samples, roots, strict=True):
        if sample.group is not None:
            names.setdefault(root, sample.group)
    for sample, root in zip(samples, roots, strict=True):
        names.setdefault(root, sample.key)
    result = [
        replace(sample, group=names[root]) if sample.group is None and members[root] > 1 else sample
        for sample, root in zip(samples, roots, strict=True)
    ]
    given = [root for before, after, root in zip(samples, result, roots, strict=True) if before is not after]
    if not given:
        return result, []
    largest = max(members[root] for root in set(given))
    return result, [
        f"{len(given)} of {len(samples)} rows share a file with other rows: they form {len(set(given))} groups, the "
        f'largest of {largest} rows, and each group stands in one split. data.keep_together = "none" splits row by row'
    ]


def on_both_sides(samples: Sequence[Sample], contents: Sequence[tuple[str, ...]], splits: Sequence[str]) -> list[str]:
    """Return a warning where the same file stands in several splits.

    Args:
        samples: all samples.
        contents: what each of them holds.
        splits: the split of each.
    """
    sides: dict[str, dict[str, str]] = {}
    rows: Counter[str] = Counter()
    for sample, names, split in zip(samples, contents, splits, strict=True):
        for name in names:
            sides.setdefault(name, {}).setdefault(split, sample.origin)
            rows[name] += 1
    torn = {name: places for name, places in sides.items() if len(places) > 1}
    if not torn:
        return []
    kinds = Counter(" and ".join(sorted(places)) for places in torn.values())
    first = ", ".join(f"{split} ({origin})" for split, origin in next(iter(torn.values())).items())
    return [
        f"{len(torn)} files ({sum(rows[name] for name in torn)} rows) stand in several splits by path or content: "
        f"{', '.join(f'{count} in {where}' for where, count in kinds.most_common())}; the first in {first}. Scores on "
        "them are too good: correct the splits or groups of the source"
    ]


def _joined(contents: Sequence[tuple[str, ...]]) -> list[int]:
    """Return for each row the first row that it is joined with, directly or by others."""
    parents = list(range(len(contents)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    first: dict[str, int] = {}
    for row, names in enumerate(contents):
        for name in names:
            one, other = root(first.setdefault(name, row)), root(row)
            parents[max(one, other)] = min(one, other)
    return [root(row) for row in range(len(contents))]
