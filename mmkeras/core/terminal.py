"""Prints safely: text from outside cannot control the terminal, and a closed pipe ends a program without a traceback.

Paths, labels, names and messages of other libraries may contain control characters, escape sequences, or characters
that the terminal's encoding lacks. Programs print with `say`, `say_json` or `mmkeras.core.console.Console`, and
decorate their ``main`` with `program`. Standard library only.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TextIO

__all__ = [
    "PIPE_CLOSED",
    "OutputClosed",
    "discard",
    "plain",
    "program",
    "say",
    "say_json",
    "show_progress",
    "utf8_program",
]

PIPE_CLOSED = 128 + getattr(signal, "SIGPIPE", 13)
"""Exit status of a program whose output pipe was closed, as a shell reports it for ``cat``."""

# Control characters except tab and line feed; separators and marks that reorder a line; halves of surrogate pairs.
_ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Python decodes bytes of paths and arguments to these where the locale's encoding cannot (surrogateescape).
_BYTES = re.compile("[\udc80-\udcff]+")
Arguments = ParamSpec("Arguments")


class OutputClosed(SystemExit):
    """The pipe behind standard output or standard error was closed (``| head``); ends the program silently."""

    def __init__(self) -> None:
        super().__init__(PIPE_CLOSED)


def plain(text: str) -> str:
    """Return a text without control characters: each becomes ``?``, as in ``ls``.

    Bytes of a path that the locale cannot decode are decoded as UTF-8.
    """
    if not _ACTS.search(text):
        return text
    text = _BYTES.sub(lambda found: found[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace"), text)
    return _ACTS.sub("?", text)


def say(text: object = "", *, to: TextIO | None = None, flush: bool = False) -> None:
    """Print a line of text as `plain` returns it, to standard output if no other stream is given.

    Raises:
        OutputClosed: the stream is a closed pipe.
    """
    _write(plain(str(text)) + "\n", to or sys.stdout, flush)


def say_json(value: Any, *, indent: int | None = None, flush: bool = False) -> None:
    """Print JSON to standard output; control characters and characters that the encoding lacks are escaped.

    Raises:
        OutputClosed: standard output is a closed pipe.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=not _is_unicode(sys.stdout))
    # Such characters can only be inside strings: the layout has line feeds, which _ACTS leaves out.
    text = _ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    _write(text + "\n", sys.stdout, flush)


def show_progress(what: str) -> None:
    """Show the current activity on standard error in place of the last one, if that is a terminal."""
    if sys.stderr.isatty():
        _write(f"\r\x1b[K{plain(what)} ...\r", sys.stderr, True)


def program(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Decorate a ``main``: it escapes characters that the encoding lacks, and ends silently when its pipe is closed."""

    @functools.wraps(main)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        for stream in (sys.stdout, sys.stderr):
            # An ASCII locale would fail on the first label with an accent.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            try:
                return main(*args, **kwargs)
            finally:
                # Python would print a traceback for a closed pipe when it flushes at its end.
                for stream in (sys.stdout, sys.stderr):
                    _flush(stream)
        except OutputClosed:
            return PIPE_CLOSED
        except BrokenPipeError:
            # Raised by a print of another library; or by another pipe, which is an error.
            if not (_discard_closed(sys.stdout) | _discard_closed(sys.stderr)):
                raise
            return PIPE_CLOSED

    return run


def utf8_program(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Make a `program` of a ``main`` whose libraries need paths in valid Unicode, such as TensorFlow.

    The first argument of ``main`` is the command line, ``sys.argv[1:]`` when not given.
    """

    @functools.wraps(main)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        given: Any = args[0] if args and args[0] is not None else sys.argv[1:]
        for text in (*map(str, given), str(Path.cwd())):
            if _BYTES.search(text):
                say(
                    f"{text}: the encoding of this locale ({sys.getfilesystemencoding()}) lacks one of its characters. "
                    "Set LC_ALL=C.UTF-8 or PYTHONUTF8=1.",
                    to=sys.stderr,
                )
                return 2
        return main(*args, **kwargs)

    return program(run)


def _write(text: str, stream: TextIO, flush: bool) -> None:
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
        if flush:
            stream.flush()
    except BrokenPipeError:
        discard(stream)
        raise OutputClosed from None


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except BrokenPipeError:
        discard(stream)
        raise OutputClosed from None
    except ValueError:  # closed by code that calls this program as a function
        return


def discard(stream: TextIO) -> None:
    """Point a stream at the null device, so that Python does not fail when it flushes the stream at its end."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def _discard_closed(stream: TextIO) -> bool:
    """Return whether a stream is a closed pipe; if so, discard it."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        closed = any(state & select.POLLERR for _, state in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll on this system, or a stream without a descriptor
        closed = False
    if closed:
        discard(stream)
    return closed


def _is_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")
