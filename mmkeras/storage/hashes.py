"""Digests of exported files and folders. No TensorFlow."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["digest", "is_part_of", "size"]

# A SavedModel shares its folder with the manifest and the edge files; these are the SavedModel's own parts.
_SAVED_MODEL = ("assets", "assets.extra", "fingerprint.pb", "saved_model.pb", "variables")


def digest(folder: Path, path: str) -> str:
    """Return the hex sha256 of a file of a bundle, or of the SavedModel.

    For a folder it is the sha256 of one line ``<sha256>  <relative path>`` per file, sorted by path, as
    ``sha256sum`` prints them. ``.`` stands for the SavedModel in the bundle folder: ``saved_model.pb``,
    ``fingerprint.pb``, ``variables/`` and ``assets/``.

    Raises:
        FileNotFoundError: there is no such file.
    """
    target = Path(folder) / path
    if not target.is_dir():
        return _file_digest(target)
    lines = [f"{_file_digest(file)}  {file.relative_to(target).as_posix()}\n" for file in _members(target, path)]
    if not lines:
        raise FileNotFoundError(target)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_part_of(path: str) -> bool:
    """Return whether a path relative to the bundle belongs to the SavedModel."""
    return path.split("/")[0] in _SAVED_MODEL


def size(folder: Path, path: str) -> int:
    """Return the bytes on disk of a file of a bundle, or of the SavedModel (``.``)."""
    target = Path(folder) / path
    return sum(file.stat().st_size for file in _members(target, path)) if target.is_dir() else target.stat().st_size


def _members(target: Path, path: str) -> list[Path]:
    roots = [target / part for part in _SAVED_MODEL] if path == "." else [target]
    found = (file for root in roots for file in ([root] if root.is_file() else root.rglob("*")))
    return sorted((f for f in found if f.is_file()), key=lambda f: f.relative_to(target).as_posix())


def _file_digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
