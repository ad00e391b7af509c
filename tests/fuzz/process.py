"""Starts the process that reads, watches its time, and says which input it died of."""

from __future__ import annotations

import json
import os
import selectors
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mmkeras.core.errors import MmkerasError
from tests.fuzz.reader import FAMILY

__all__ = ["Death", "ReadingProcess"]

_START_SECONDS = 180.0
"""For the imports and the valid files of a reader."""


@dataclass(frozen=True)
class Death:
    """The end of the process."""

    number: int
    """The input that it was reading."""
    kind: str
    """``crash`` or ``hang``."""
    said: str
    """The signal or status, and the last lines that it wrote."""


class _Watch:
    """Tells how long a process has worked or slept; while others have the processor, its time stands still."""

    def __init__(self, pid: int) -> None:
        self._place = Path(f"/proc/{pid}/stat")
        self._worked, self._moment = 0.0, time.monotonic()
        self.passed()

    def passed(self) -> float:
        """Return seconds since the last look."""
        (asleep, worked), moment = self._look(), time.monotonic()
        passed = moment - self._moment if asleep else worked - self._worked
        self._worked, self._moment = worked, moment
        return passed

    def _look(self) -> tuple[bool, float]:
        try:
            # The name in brackets may hold anything; the state follows it.
            words = self._place.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended, which its output will show
            return True, self._worked
        return words[0] == "S", (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class ReadingProcess:
    """A process that reads blocks of damaged files; a new one is started when it has died."""

    def __init__(self, folder: Path, seconds: float, memory: int, family: str = FAMILY) -> None:
        """Prepare, without starting anything.

        Args:
            folder: for the files, on a fast disk.
            seconds: that one input may work or sleep.
            memory: MiB that a reader may take beyond what the process has before it.
            family: package of the readers.
        """
        self._folder, self._seconds, self._memory, self._family = folder, seconds, memory, family
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "worker.log"
        folder.mkdir(parents=True, exist_ok=True)

    def block(self, reader: str, seed: int, first: int, count: int) -> dict[str, Any] | Death:
        """Read some inputs.

        Returns:
            The counts, or how the process died; nothing is known then of the inputs before.

        Raises:
            MmkerasError: it died before it read the first damaged input.
        """
        process = self._started()
        request = {"reader": reader, "seed": seed, "first": first, "count": count}
        self._note(-1)
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        except BrokenPipeError:
            return self._dead(reader, "crash")
        return self._answer(process, reader)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        self._process = None

    def __enter__(self) -> ReadingProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            command = [
                sys.executable,
                "-m",
                "tests.fuzz.worker",
                str(self._folder),
                str(self._memory),
                self._family,
            ]
            root = Path(__file__).resolve().parents[2]
            environment = {
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "CUDA_VISIBLE_DEVICES": "",
                "OMP_NUM_THREADS": "1",
            }
            environment |= {"PYTHONPATH": os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))}
            # What it leaves when it is killed goes with the folder.
            environment["TMPDIR"] = str(self._folder)
            self._note(-1)
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=self._folder,
                    env=environment,
                    # Ctrl-C is for the parent, which ends this process.
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
                )
        return self._process

    def _answer(self, process: subprocess.Popen[bytes], reader: str) -> dict[str, Any] | Death:
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        last, spent, watch = self._number(), 0.0, _Watch(process.pid)
        with selector:
            while not selector.select(timeout=0.5):
                number, passed = self._number(), watch.passed()
                last, spent = number, spent + passed if number == last else 0.0
                if spent > (self._seconds if number >= 0 else _START_SECONDS):
                    return self._dead(reader, "hang")
        line = process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            return self._dead(reader, "crash")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _dead(self, reader: str, kind: str) -> Death:
        process, number = self._process, self._number()
        assert process is not None
        if kind == "crash":
            process.wait()
        status = process.returncode
        self.close()
        tail = self._log.read_text("utf-8", errors="replace").strip()[-800:]
        said = f"no answer within {self._seconds:.0f} s" if kind == "hang" else f"exit status {status}"
        if number < 0:
            raise MmkerasError(f"fuzzing {reader}: the process ended before its first input ({said}):\n{tail}")
        return Death(number, kind, f"{said}: {tail[-400:]}")

    def _note(self, number: int) -> None:
        (self._folder / "now").write_bytes(struct.pack("<q", number))

    def _number(self) -> int:
        return int(struct.unpack("<q", (self._folder / "now").read_bytes()[:8].ljust(8, b"\0"))[0])
