"""Copies a worker's output to a log file in the run's folder."""

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
    """Append all further output of this process to a file, including C++ output and tracebacks.

    On a terminal, only the output of the returned console is written to the file, so that progress bars still work.

    Returns:
        The console to use from now on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if console.is_terminal:
        return _Kept(path)
    tee = shutil.which("tee")
    if tee is None:
        console.print(f"{path}: no log is written, because this machine has no tee", soft_wrap=True)
        return console
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        # A process in a session of its own outlives a crash and does not receive Ctrl-C.
        command = [tee, "-a", str(path)]
        listener = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=number, start_new_session=True)
        assert listener.stdin is not None
        os.dup2(listener.stdin.fileno(), number)
        listener.stdin.close()
        # Kept, because Python would warn about a running process that is deleted. It ends with this process.
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
        # A moving bar prints control codes, and an empty line at its end.
        if objects and not any(isinstance(each, Control | NewLine) for each in objects):
            self._copy.print(*objects, **options)
