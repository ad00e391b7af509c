"""Unpacks an archive of real data."""

from __future__ import annotations

import tarfile
from pathlib import Path

from mmkeras.core.errors import DataError

__all__ = ["unpacked"]


def unpacked(archive: Path, folder: Path) -> Path:
    """Return the folder ``<folder>/<name of the archive>``, unpacked unless it is there.

    Raises:
        DataError: there is neither the folder nor the archive.
    """
    name = archive.name.partition(".")[0]
    if not (folder / name).is_dir():
        if not archive.is_file():
            raise DataError(f"{archive}: expected an archive, got no such file. Name it, or its folder: see --help")
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    return folder / name
