"""Reads the beginnings of a few files of a dataset for its fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["look_into"]

_FILES = 32
_BYTES = 4096


def look_into(paths: Sequence[Path]) -> str:
    """Return a hash of the beginnings of up to 32 files, evenly chosen.

    It distinguishes datasets whose files have the same names, sizes and times; to read all would take too long.
    """
    digest = hashlib.sha256()
    step = max(1, -(-len(paths) // _FILES))
    for path in paths[::step]:
        try:
            if path.is_file():
                with path.open("rb") as stream:
                    digest.update(stream.read(_BYTES))
        except (OSError, ValueError):  # reported when it is converted
            continue
        digest.update(b"\n")
    return digest.hexdigest()
