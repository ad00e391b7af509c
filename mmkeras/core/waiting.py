"""Says what a program waits for, so that no wait is silent."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mmkeras.core import terminal

__all__ = ["AFTER_SECONDS", "AGAIN_SECONDS", "waiting"]

AFTER_SECONDS = 5.0
"""Seconds of waiting before the first line is printed."""
AGAIN_SECONDS = 60.0
"""Seconds between the lines that follow."""


@contextmanager
def waiting(what: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Print what a blocking call within waits for, after some seconds and then every minute.

    Args:
        what: whole sentences, for example ``Waiting for process 17, which converts the same data.``.
        say: prints a line; standard error when not given.
    """
    say = say or _to_stderr
    began, ended = time.monotonic(), threading.Event()

    def watch() -> None:
        pause = AFTER_SECONDS
        while not ended.wait(pause):
            say(f"{what} ({time.monotonic() - began:.0f} s so far)")
            pause = AGAIN_SECONDS

    thread = threading.Thread(target=watch, name="mmkeras-waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _to_stderr(line: str) -> None:
    terminal.say(line, to=sys.stderr, flush=True)
