"""Runs the commands of ``mmkeras`` on the packed bundle that contains this code; called by its ``__main__.py``."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from mmkeras.bundle.archive.unpacked import close_all
from mmkeras.runtime.cli import COMMANDS
from mmkeras.runtime.cli import main as run

__all__ = ["main"]


def main(archive: str, arguments: Sequence[str]) -> int:
    """Run ``python FILE.mmk COMMAND [options]`` and return the exit status."""
    # Service managers end programs with SIGTERM: remove the unpacked files then, too.
    signal.signal(signal.SIGTERM, _end)
    program = f"python {Path(archive).name}"
    rest = list(arguments)
    if rest and rest[0] in COMMANDS:
        rest.insert(1, archive)
    return run(rest, program=program)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    # No exception: raised within a call of an engine, it would look like a failure of that call.
    close_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
