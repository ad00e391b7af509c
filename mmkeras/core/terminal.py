"""What programs print: text from outside cannot act on the terminal, and a closed pipe ends a program quietly.

Paths, labels, names and messages of other libraries may hold control characters, escape sequences, or characters that
the terminal's encoding lacks. Programs print with `say` and `say_json`, or with `mmkeras.core.console.Console`, and
their ``main`` is a `program`. Standard library only.
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
"""Exit status of a program whose reader has gone: a shell shows the same for ``cat``, which the signal ends."""

# Control characters but tab and line feed; separators and marks that reorder a line; halves of surrogate pairs.
_ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# How Python holds bytes of paths and arguments that are not text in the encoding of the locale.
_BYTES = re.compile("[\udc80-\udcff]+")
Arguments = ParamSpec("Arguments")


class OutputClosed(SystemExit):
    """The reader of standard output or standard error has gone (``| head``): the program ends, quietly."""

    def __init__(self) -> None:
        super().__init__(PIPE_CLOSED)


def plain(text: str) -> str:
    """Return a text that cannot act on a terminal: each control character becomes ``?``, as ``ls`` shows them.

    Bytes of a path that the locale cannot decode are read as UTF-8.
    """
    if not _ACTS.search(text):
        return text
    text = _BYTES.sub(lambda found: found[0].encode("utf-8", "surrogateescape").decode("utf-8", "replace"), text)
    return _ACTS.sub("?", text)


def say(text: object = "", *, to: TextIO | None = None, flush: bool = False) -> None:
    """Print a line of text that may come from outside.

    Args:
        text: printed as `plain` returns it.
        to: standard output when not given.
        flush: write it at once.

    Raises:
        OutputClosed: the reader has gone.
    """
    _write(plain(str(text)) + "\n", to or sys.stdout, flush)


def say_json(value: Any, *, indent: int | None = None, flush: bool = False) -> None:
    """Print JSON to standard output; what the encoding lacks, or acts on a terminal, is escaped.

    Raises:
        OutputClosed: the reader has gone.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=not _is_unicode(sys.stdout))
    # Such characters stand in strings alone, but for the line feeds of the layout, which are not among them.
    text = _ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    _write(text + "\n", sys.stdout, flush)


def show_progress(what: str) -> None:
    """Show on standard error what is being done, over what was shown before; nothing where that is no terminal."""
    if sys.stderr.isatty():
        _write(f"\r\x1b[K{plain(what)} ...\r", sys.stderr, True)


def program(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Make a ``main`` behave as programs do: print what any encoding can show, and end quietly when its reader goes.

    Args:
        main: returns the exit status.
    """

    @functools.wraps(main)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        for stream in (sys.stdout, sys.stderr):
            # An ASCII locale would refuse the first label with an accent.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            try:
                return main(*args, **kwargs)
            finally:
                # Here and not when Python ends, which would report the closed pipe.
                for stream in (sys.stdout, sys.stderr):
                    _flush(stream)
        except OutputClosed:
            return PIPE_CLOSED
        except BrokenPipeError:
            # By print of another library; or by another pipe, which is a failure like any other.
            if not (_discard_closed(sys.stdout) | _discard_closed(sys.stderr)):
                raise
            return PIPE_CLOSED

    return run


def utf8_program(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Make a `program` of a ``main`` whose libraries take paths as Unicode, as TensorFlow does.

    Args:
        main: takes the command line as its first argument; ``sys.argv[1:]`` when that is not given.
    """

    @functools.wraps(main)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        given: Any = args[0] if args and args[0] is not None else sys.argv[1:]
        for text in (*map(str, given), str(Path.cwd())):
            if _BYTES.search(text):
                say(
                    f"{text}: the encoding of this locale ({sys.getfilesystemencoding()}) lacks a character of it. "
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
    except ValueError:  # closed by whoever runs this program in its own process
        return


def discard(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, so that Python does not fail on it when it ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def _discard_closed(stream: TextIO) -> bool:
    """Return whether the reader of a stream has gone; what it still holds then goes nowhere."""
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
