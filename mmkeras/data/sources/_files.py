"""The files of a dataset: its pictures, and the beginnings of a few for its fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["PICTURES", "files_in", "head_of", "identity_of", "look_into", "pictures_below"]

PICTURES = (".ppm", ".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Endings of pictures."""

_FILES = 32
_BYTES = 4096


def look_into(paths: Sequence[Path]) -> str:
    """Return a hash of the beginnings of up to 32 files, evenly chosen.

    It distinguishes datasets whose files have the same names, sizes and times; to read all would take too long.
    """
    digest = hashlib.sha256()
    step = max(1, -(-len(paths) // _FILES))
    for path in paths[::step]:
        digest.update(head_of(path, _BYTES))
        digest.update(b"\n")
    return digest.hexdigest()


def identity_of(what: str, files: Sequence[Path], root: Path) -> dict[str, str]:
    """Return two entries of a fingerprint: of the names and sizes of files, and ``contents``, see `look_into`.

    Args:
        what: key of the first entry.
        files: in a fixed order; one that is missing counts as such.
        root: the folder that names start from.
    """
    sizes = (path.stat().st_size if path.is_file() else -1 for path in files)
    listing = [(os.path.relpath(path, root), size) for path, size in zip(files, sizes, strict=True)]
    listed = hashlib.sha256(repr(listing).encode(errors="surrogateescape")).hexdigest()
    return {what: listed, "contents": look_into(files)}


def files_in(path: Path) -> list[Path]:
    """Return the files in a folder in the order of their names, or the path itself where it is no folder."""
    try:
        return sorted(each for each in path.iterdir() if each.is_file()) if path.is_dir() else [path]
    except (OSError, ValueError):
        return [path]


def head_of(path: Path, size: int) -> bytes:
    """Return the first bytes of a file; nothing of one that cannot be read, which is reported when it is converted."""
    try:
        if path.is_file():
            with path.open("rb") as stream:
                return stream.read(size)
    except (OSError, ValueError):
        pass
    return b""


def pictures_below(root: Path) -> dict[str, Path]:
    """Return the pictures in a folder and its folders by their names without ending; of equal names the first."""
    paths = (Path(folder, name) for folder, _, names in os.walk(root, followlinks=True) for name in names)
    found: dict[str, Path] = {}
    for path in sorted(path for path in paths if path.suffix.lower() in PICTURES):
        found.setdefault(path.stem, path)
    return found
