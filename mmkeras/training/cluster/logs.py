"""Keeps a worker's output in the run's folder, and shows it as before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import NewLine
from rich.control import Control

from mmkeras.core.console import Console

__all__ = ["keep_log"]

_listeners: list[subprocess.Popen[bytes]] = []


def keep_log(path: Path, console: Console) -> Console:
    """Write everything that this process prints from now on also to a file, including C++ output and tracebacks.

    The file is appended to, because a resumed run continues it. A terminal stays one, for its progress bars: there only
    the output of the returned console, which replaces the given one, is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if console.is_terminal:
        return _Kept(path)
    tee = shutil.which("tee")
    if tee is None:
        console.print(f"No log is kept in {path}: this machine has no tee", soft_wrap=True)
        return console
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        # A process of its own, in a session of its own: it outlives a crash and is not reached by Ctrl-C.
        command = [tee, "-a", str(path)]
        listener = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=number, start_new_session=True)
        assert listener.stdin is not None
        os.dup2(listener.stdin.fileno(), number)
        listener.stdin.close()
        # Never waited for: it ends when this process does.
        _listeners.append(listener)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    return console


class _Kept(Console):
    """A console whose lines, but not its progress bars, also go to a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._copy = Console(file=path.open("a", encoding="utf-8", buffering=1), width=200, color_system=None)

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **options)
        # A bar that moves prints control codes, one that ends an empty line.
        if objects and not any(isinstance(each, Control | NewLine) for each in objects):
            self._copy.print(*objects, **options)
