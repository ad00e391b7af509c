"""What a packed bundle's ``__main__.py`` runs: the commands of ``mmkeras`` on the file itself."""

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
    # A service manager ends programs with SIGTERM; the unpacked files must be removed then too.
    signal.signal(signal.SIGTERM, _end)
    program = f"python {Path(archive).name}"
    rest = list(arguments)
    if rest and rest[0] in COMMANDS:
        rest.insert(1, archive)
    return run(rest, program=program)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    # Not by an exception: it could come up within an engine's call, and be taken for that call's failure.
    close_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
