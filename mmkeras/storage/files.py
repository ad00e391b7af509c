"""Atomic writes: a reader sees the old content or the new content of a file, never a part of it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.core.terminal import plain
from mmkeras.core.waiting import waiting

__all__ = ["claim", "held", "locked", "sweep", "write_bytes", "write_json", "write_text"]

_SURROGATE = re.compile("[\ud800-\udfff]")


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a temporary file and move it to its path; a missing folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # the error of a write to a full disk names no file
        raise
    finally:
        with contextlib.suppress(OSError):  # a read-only disk raises for missing files too
            aside.unlink()
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a UTF-8 text file atomically.

    Raises:
        DataError: the text holds a path that the locale cannot decode.
    """
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        found = plain(text[max(error.start - 40, 0) : error.end + 40])
        raise DataError(
            f"{path}: expected Unicode to write, got bytes that the locale's encoding "
            f"({sys.getfilesystemencoding()}) does not have: {found!r}. Set LC_ALL=C.UTF-8 or PYTHONUTF8=1"
        ) from error
    return write_bytes(path, content)


def write_json(path: Path, value: Any) -> Path:
    """Write indented JSON atomically. NaN is refused, because it is not JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # A path that the locale cannot decode: escapes in JSON keep it, and reading returns the same path.
    return write_text(path, _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def claim(path: Path) -> int:
    """Mark a file or folder as in use until the returned descriptor is closed or the process ends.

    It uses no lock file, so none can be left behind.

    Raises:
        BlockingIOError: a process has marked it already.
        OSError: it is missing, or its file system has no locks.
    """
    try:
        import fcntl
    except ImportError as error:  # not on Windows
        raise OSError("this system has no flock") from error

    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise FileNotFoundError(f"{path} was replaced meanwhile")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Mark a file or folder as in use for `sweep`, if its file system has locks."""
    try:
        descriptor = claim(path)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, what: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a lock file, so that one process or thread at a time does the same work; print the holder when waiting.

    The file, in an existing folder, is removed with the lock; the lock ends with its process. ``what`` describes the
    work of the holder, for example ``which converts the same data``; ``say`` prints a line, by default to stderr.

    Raises:
        OSError: nothing can be written there, or the file system has no locks.
    """
    import fcntl

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
                with waiting(f"Waiting for {holder}, {what}; it holds {path}. Stop it if it hangs.", say):
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The previous holder removed the file; a third process may hold a new one already.
            try:
                if not os.path.samestat(os.fstat(descriptor), path.stat()):
                    continue
            except FileNotFoundError:
                continue
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)


def sweep(paths: Iterable[Path]) -> None:
    """Remove temporary files and folders of ended processes; those in use stay."""
    for path in list(paths):
        try:
            descriptor = claim(path)
        except OSError:
            continue
        try:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
