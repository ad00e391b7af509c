"""Runs functions in worker processes of this machine.

A worker is a new Python process with the import path of this one. It does not import the program's main module, so a
script needs no ``if __name__ == "__main__"`` and may be read from standard input. Messages go through pipes: unlike
multiprocessing, this needs no semaphores, which a container without a writable /dev/shm does not have.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["WorkerDied", "WorkerPool", "serve"]

_LENGTH = struct.Struct("<Q")
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from mmkeras.core.parallel import serve; serve()"
_END_SECONDS = 10.0


class WorkerDied(Exception):
    """A worker process ended during a call; the message says how."""


class WorkerPool:
    """Worker processes that call functions. Close it, or use it as a context manager.

    Functions, arguments and results are pickled, and must not be defined in the program's main module. The output of a
    worker goes to standard error.

    Args:
        count: number of processes.
        start: function that each process calls once, before its first work.
        arguments: arguments of ``start``.
    """

    def __init__(self, count: int, start: Callable[..., Any] | None = None, arguments: tuple[Any, ...] = ()) -> None:
        self._start = None if start is None else pickle.dumps((start, arguments))
        self._fresh: set[int] = set()
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(count, "mmkeras-worker")
        try:
            for _ in range(count):
                process = _launch()
                self._processes.append(process)
                self._fresh.add(process.pid)
                self._free.put(process)
        except BaseException:
            self.close()
            raise

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function in the next free worker; the future raises the function's exception or `WorkerDied`."""
        return self._threads.submit(self._call, function, arguments)

    def close(self) -> None:
        """Cancel the work that has not begun, wait for the rest and end the processes."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(OSError):  # the process has died
                process.stdin.close()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    def __enter__(self) -> WorkerPool:
        """Return the pool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pool."""
        self.close()

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        content = pickle.dumps((function, arguments))
        process = self._free.get()  # does not wait: there are as many threads as processes
        try:
            if self._start is not None and process.pid in self._fresh:
                _exchange(process, self._start)
                self._fresh.discard(process.pid)
            return _exchange(process, content)
        finally:
            self._free.put(process)


def _launch() -> subprocess.Popen[bytes]:
    isolated = ["-I"] if sys.flags.isolated else []
    with _without_interrupts():
        return subprocess.Popen(
            [sys.executable, *isolated, "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Block SIGINT within; a process that starts here inherits that, so that Ctrl-C never ends it before the parent."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exchange(process: subprocess.Popen[bytes], content: bytes) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(_LENGTH.pack(len(content)) + content)
        process.stdin.flush()
        answer = _read(process.stdout)
    except OSError:
        answer = None
    if answer is None:
        raise WorkerDied(_how(process))
    good, value = pickle.loads(answer)
    if not good:
        raise value
    return value


def _how(process: subprocess.Popen[bytes]) -> str:
    try:
        status = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return "it closed its pipe"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _read(stream: BinaryIO | Any) -> bytes | None:
    """Return the next message, or None at the end of the stream."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(header)
    content: bytes = stream.read(length)
    return content if len(content) == length else None


# === In the worker ===


def serve() -> None:
    """Run the calls that arrive on standard input until it is closed."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Input and output of libraries must not mix with the messages.
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    while True:
        answer = _answer(waiting.get())
        answers.write(_LENGTH.pack(len(answer)) + answer)
        answers.flush()


def _listen(requests: BinaryIO, waiting: queue.SimpleQueue[bytes]) -> None:
    """Queue requests, and end the process at once when the parent has closed the pipe or was killed."""
    while (content := _read(requests)) is not None:
        waiting.put(content)
    os._exit(0)


def _answer(content: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(content)
        return pickle.dumps((True, function(*arguments)))
    except Exception as error:
        try:
            answer = pickle.dumps((False, error))
            pickle.loads(answer)  # some exceptions can be pickled but not unpickled
        except Exception:
            answer = pickle.dumps((False, RuntimeError(f"in a worker process:\n{traceback.format_exc()}")))
        return answer
