"""What of a bundle's folder goes into a packed bundle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mmkeras.bundle.archive.names import LISTING, SIGNATURE
from mmkeras.core.errors import ArchiveError

__all__ = ["OPTIONAL", "folder_files"]

OPTIONAL = {
    "saved_model": "the SavedModel, for TensorFlow Serving; no device runs it",
    "keras": "model.keras, to export or train on",
    "rejected": "files that missed their gate; never run",
}
"""Parts that are left out unless asked for, and what they are."""
_PARTS = {
    "saved_model": ("saved_model.pb", "fingerprint.pb", "variables/", "assets/", "assets.extra/"),
    "keras": ("model.keras",),
    "rejected": ("rejected/",),
}


def folder_files(folder: Path, include: Sequence[str] = (), without: Iterable[str] = ()) -> dict[str, Path]:
    """Return the files of a bundle to pack, by member name.

    Args:
        folder: the bundle.
        include: parts of `OPTIONAL` to take along.
        without: further files to leave out, relative to the bundle.

    Raises:
        ArchiveError: a link or another thing that is no file, or a name that packing needs itself.
    """
    left_out = tuple(part for name, parts in _PARTS.items() if name not in include for part in parts)
    skipped = set(without)
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(left_out) or name in skipped or any(part.startswith(".") for part in name.split("/")):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ArchiveError(f"{path}: expected a file, got a link or a special file. Put the file itself there.")
        if path.is_dir():
            continue
        if name in (LISTING, SIGNATURE, "__main__.py") or name.startswith("mmkeras/"):
            raise ArchiveError(f"{path}: packing writes a member of this name itself. Remove it from the bundle.")
        found[name] = path
    return found
