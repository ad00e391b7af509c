"""Takes over Ctrl-C and SIGTERM for a while, where the thread may."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["give_back", "take_over"]


def take_over(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Let a function handle SIGINT and SIGTERM.

    Python allows that in the main thread alone; in another one (a notebook's server, a GUI) nothing changes, and the
    main thread ends the process as before.

    Returns:
        The handlers until now, for `give_back`; empty outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}


def give_back(previous: dict[int, Any]) -> None:
    """Give the signals back to the handlers that had them."""
    for number, handler in previous.items():
        # None: it was set outside of Python, and cannot be put back from here.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
