"""A packed bundle's members as files, in a folder that only this process's user can read and that goes with it."""

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
        """Create an empty folder; it is removed with this object, at the latest when Python ends.

        Raises:
            ArchiveError: no folder can be created; the archive is then closed.
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

    def holds(self, path: str) -> bool:
        """Return whether a file, or any file below a folder, is packed."""
        return path in self.archive.members or any(name.startswith(f"{path}/") for name in self.archive.members)

    def get(self, names: Iterable[str]) -> None:
        """Unpack members that are not there yet."""
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
        """Let messages name the packed bundle in place of the folder that its files were unpacked to."""
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
    """Remove the folders of every packed bundle that is open: for a process that is about to be ended."""
    for unpacked in list(_OPEN):
        unpacked.close()


def _clean(archive: Archive, folder: str) -> None:
    archive.close()
    shutil.rmtree(folder, ignore_errors=True)
