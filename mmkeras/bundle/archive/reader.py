"""Opens a packed bundle, and reads and unpacks its members."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import BinaryIO

from mmkeras.bundle.archive.checks import BLOCK, check_file
from mmkeras.bundle.archive.layout import Member
from mmkeras.bundle.archive.signature import Signature
from mmkeras.core.errors import ArchiveError

__all__ = ["Archive"]


class Archive:
    """A packed bundle whose bytes were checked. The file stays open, so that no other file is read. Thread-safe."""

    def __init__(self, path: Path, file: BinaryIO, members: dict[str, Member], signature: Signature | None) -> None:
        """Store the parts; use `open`."""
        self.path = path
        self.members = members
        self.signature = signature
        self._file = file
        # The file has one position, which every read moves.
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: str | Path, key: str | Path | None = None) -> Archive:
        """Open a file and check every byte of it.

        Args:
            path: a ``.mmk`` file.
            key: file with an Ed25519 public key (PEM) that the signature must match.

        Raises:
            ArchiveError: truncated, altered, not written by `write_archive`, hostile, or without the required
                signature; names the member.
            DependencyError: a key is given, and the package that checks signatures is not installed.
        """
        path = Path(path)
        try:
            file: BinaryIO = path.open("rb")
        except OSError as error:
            raise ArchiveError(
                f"{path} cannot be opened: {error.strerror}. Name a file that `mmkeras pack` wrote."
            ) from error
        try:
            members, signature = check_file(file, str(path), key)
        except OSError as error:
            file.close()
            raise ArchiveError(f"{path} cannot be read: {error.strerror}. Copy it again.") from error
        except BaseException:
            file.close()
            raise
        return cls(path, file, members, signature)

    def read(self, name: str) -> bytes:
        """Return a member's bytes."""
        content = io.BytesIO()
        self._copy(name, content)
        return content.getvalue()

    def extract(self, name: str, folder: Path) -> Path:
        """Write a member below a folder and return its path."""
        self._member(name)
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # "x": an existing file or link is neither followed nor overwritten.
            with target.open("xb") as out:
                try:
                    self._copy(name, out)
                except BaseException:
                    target.unlink()
                    raise
        except OSError as error:
            raise ArchiveError(
                f"{self.path}: the member {name!r} cannot be unpacked below {folder.parent}: {error.strerror}. "
                "Make room there, or set TMPDIR to another folder."
            ) from error
        return target

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _member(self, name: str) -> Member:
        member = self.members.get(name)
        if member is None:
            raise ArchiveError(f"{self.path}: has no member {name!r}. It was left out when the bundle was packed.")
        return member

    def _copy(self, name: str, out: BinaryIO) -> None:
        member = self._member(name)
        sha, left = hashlib.sha256(), member.size
        with self._lock:
            self._file.seek(member.offset)
            while left and (block := self._file.read(min(BLOCK, left))):
                sha.update(block)
                out.write(block)
                left -= len(block)
        if left or sha.hexdigest() != member.sha256:
            raise ArchiveError(f"{self.path}: the member {name!r} was changed while the bundle was open.")
