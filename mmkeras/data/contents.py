"""Which rows hold the same file: the same path, or another one with equal content. Files are hashed, not kept.

Texts are left out: questions and captions repeat, and that is no leak. Who wants equal texts on one side names their
column as the group.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from mmkeras.data.sources import Sample
from mmkeras.media.dicom.frames import split_frame

__all__ = ["contents_of"]

PIECE = 4096


def contents_of(
    samples: Sequence[Sample], modalities: Collection[str], by: Literal["content", "path"] = "content"
) -> list[tuple[str, ...]]:
    """Return the files and bytes of each sample as names: equal where path or content is.

    Only files of which others have the size, and three pieces in common, are read as a whole.

    Args:
        samples: all samples.
        modalities: names of modalities whose values are paths or bytes; other values have no name.
        by: whether files of equal content count as one, or only those of the same path.
    """
    held = [
        [value for name in modalities if (value := _path_or_bytes(sample.values.get(name))) is not None]
        for sample in samples
    ]
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


def _path_or_bytes(value: Any) -> str | bytes | None:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value) or None
    return str(split_frame(value)[0]) if isinstance(value, str | os.PathLike) else None


def _size(path: str) -> int:
    """Return the bytes of a file; 0 for what is no file: that has no content to compare."""
    try:
        state = Path(path).stat()
    except (OSError, ValueError):
        return 0
    return state.st_size if stat.S_ISREG(state.st_mode) else 0


def _alike(paths: list[str], key: Callable[[str], Any]) -> list[list[str]]:
    """Return those of some paths that have a key in common with others."""
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
