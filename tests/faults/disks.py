"""Real small, full and read-only disks: a tmpfs of its own, which takes the right to mount."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Unavailable", "remount", "small_disk"]


class Unavailable(Exception):
    """This machine cannot make the fault; the reason is in the message."""


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount an empty disk of a size (``64k``, ``2m``) on a folder for a while.

    Raises:
        Unavailable: the user may not mount.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(folder))


def remount(folder: Path, options: str) -> None:
    """Change a mounted disk: ``size=64m``, ``ro`` or ``rw``."""
    _run("mount", "-o", f"remount,{options}", str(folder))


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise Unavailable(f"this machine has no {command[0]}") from None
    if done.returncode:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")
