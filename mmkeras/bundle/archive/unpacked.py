"""Unpacks a packed bundle's members to a temporary folder that only this process's user can read."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmkeras.bundle.archive.reader import Archive
from mmkeras.core.errors import ArchiveError, BundleError

__all__ = ["Unpacked", "close_all"]

_OPEN: weakref.WeakSet[Unpacked] = weakref.WeakSet()


class Unpacked:
    """Unpacks members on demand, for engines that map their model files. Thread-safe."""

    def __init__(self, archive: Archive) -> None:
        """Create an empty folder, which is removed with this object, at the latest when Python ends.

        Raises:
            ArchiveError: no folder can be created. The archive is then closed.
        """
        self.archive = archive
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="mmkeras-"))
        except OSError as error:
            archive.close()
            raise ArchiveError(
                f"{archive.path}: there is no folder to unpack its members to: {error}. Set TMPDIR to one with room."
            ) from error
        self._done: set[str] = set()
        self._lock = threading.Lock()
        _OPEN.add(self)
        self._remove: Callable[[], object] = weakref.finalize(self, _clean, archive, str(self.folder))

    def get(self, names: Iterable[str]) -> None:
        """Unpack members that are not unpacked yet."""
        with self._lock:
            for name in names:
                if name not in self._done:
                    self.archive.extract(name, self.folder)
                    self._done.add(name)

    def get_description(self) -> None:
        """Unpack the small files at the top: manifest, vocabularies, reports."""
        names = (name for name in self.archive.members if "/" not in name)
        self.get(name for name in names if name.endswith((".json", ".txt", ".md")))

    @contextmanager
    def naming_the_archive(self) -> Iterator[None]:
        """Replace the temporary folder by the packed bundle in error messages."""
        try:
            yield
        except BundleError as error:
            if str(self.folder) not in str(error):
                raise
            raise type(error)(str(error).replace(str(self.folder), str(self.archive.path))) from error

    def close(self) -> None:
        """Remove the folder and close the file."""
        self._remove()


def close_all() -> None:
    """Remove the folders of all open packed bundles, for a process that is about to end."""
    for unpacked in list(_OPEN):
        unpacked.close()


def _clean(archive: Archive, folder: str) -> None:
    archive.close()
    shutil.rmtree(folder, ignore_errors=True)
