"""Keeps rows that share a file in one split, and counts the files that are in several splits."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mmkeras.data.sources import Sample
from mmkeras.data.sources._files import files_in
from mmkeras.media.dicom.paths import split_frame

__all__ = ["contents_of", "grouped", "joined", "on_both_sides"]

PIECE = 4096


def grouped(samples: Sequence[Sample], contents: Sequence[tuple[str, ...]]) -> tuple[list[Sample], list[str]]:
    """Return the samples with a group for those that have none and share a file, and a note on them.

    The group is that of another row with the file, or else the key of the first row with it: so that row stays in its
    split when others with its file are added. ``contents`` come from `contents_of`.
    """
    roots = joined(contents)
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
        f'largest of {largest} rows, and each group is in one split. data.keep_together = "none" splits row by row'
    ]


def on_both_sides(samples: Sequence[Sample], contents: Sequence[tuple[str, ...]], splits: Sequence[str]) -> list[str]:
    """Return a warning where the same file is in several splits."""
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
        f"{len(torn)} files ({sum(rows[name] for name in torn)} rows) are in several splits by path or content: "
        f"{', '.join(f'{count} in {where}' for where, count in kinds.most_common())}; the first in {first}. Scores on "
        "them are too good: correct the splits or groups of the source"
    ]


def joined(contents: Sequence[tuple[str, ...]]) -> list[int]:
    """Return for each row the first row that it shares a name with, directly or through others."""
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


def contents_of(
    samples: Sequence[Sample], modalities: Collection[str], by: Literal["content", "path"] = "content"
) -> list[tuple[str, ...]]:
    """Return names for the files and bytes of each sample; equal names mean the same path or content.

    Only files that have the size and three pieces of another one are read completely. Texts get no names: questions
    and captions repeat, and that is no leak. To keep equal texts in one split, use their column as the group.
    """
    held = [[value for name in modalities for value in _paths_or_bytes(sample.values.get(name))] for sample in samples]
    paths = {value for values in held for value in values if isinstance(value, str)}
    sizes = {path: size for path in sorted(paths) if (size := _size(path))}
    names = {path: f"path {path}" for path in sizes}
    if by == "content":
        alike: Iterable[list[str]] = [list(sizes)]
        for key in (sizes.__getitem__, lambda path: _digest(path, sizes[path]), _digest):
            alike = [same for paths in alike for same in _alike(paths, key)]
        for same in alike:
            names |= dict.fromkeys(same, names[same[0]])
    return [
        tuple(
            found
            for value in values
            if (found := names.get(value) if isinstance(value, str) else f"bytes {hashlib.sha256(value).hexdigest()}")
        )
        for values in held
    ]


def _paths_or_bytes(value: Any) -> list[str | bytes]:
    if isinstance(value, bytes | bytearray | memoryview):
        return [bytes(value)] if value else []
    if isinstance(value, list | tuple):  # the pictures of a clip
        return [found for each in value for found in _paths_or_bytes(each)]
    if not isinstance(value, str | os.PathLike):
        return []
    path = str(split_frame(value)[0])
    return [str(each) for each in files_in(Path(path))] if "\0" not in path else [path]


def _size(path: str) -> int:
    """Return the number of bytes of a file; 0 for anything else, which has no content to compare."""
    try:
        state = Path(path).stat()
    except (OSError, ValueError):
        return 0
    return state.st_size if stat.S_ISREG(state.st_mode) else 0


def _alike(paths: list[str], key: Callable[[str], Any]) -> list[list[str]]:
    """Return the groups of paths with the same key."""
    groups: dict[Any, list[str]] = defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return [group for key, group in groups.items() if key is not None and len(group) > 1]


def _digest(path: str, size: int = 0) -> str | None:
    """Return a hash of a file, or of three pieces of it where its size is given; ``None`` where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as stream:
            for place in (0, size // 2, max(size - PIECE, 0)) if size else ():
                stream.seek(place)
                digest.update(stream.read(PIECE))
            while not size and (piece := stream.read(2**20)):
                digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()
