"""Prints the reason of a long wait."""

from __future__ import annotations

import functools
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
    """Print the reason while a call within blocks, after some seconds and then every minute.

    ``what`` has whole sentences, such as ``Waiting for process 17, which converts the same data.``. ``say`` prints a
    line; without it, the lines go to standard error.
    """
    say = say or functools.partial(terminal.say, to=sys.stderr, flush=True)
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
