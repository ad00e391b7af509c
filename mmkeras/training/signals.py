"""Handles Ctrl-C and SIGTERM for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["handled"]


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let a function handle SIGINT and SIGTERM within the context.

    Python allows this in the main thread alone. In another thread (a notebook's server, a GUI) nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, before in previous.items():
            # None: a handler that was not set from Python, which cannot be restored.
            signal.signal(number, signal.SIG_DFL if before is None else before)
