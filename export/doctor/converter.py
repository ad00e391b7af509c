"""The LiteRT converter in a process of its own, because some layers crash the process.

``python -m export.doctor.converter`` reads one JSON request a line and writes one line of JSON for each.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from mmkeras.core.errors import ExportError

__all__ = ["MODES", "Converter"]

MODES = ("builtin", "select", "int8")
"""``builtin``: float32 from built-in operations alone, as in an export. ``select``: TensorFlow's own operations (Flex)
and unknown ones are allowed, to list them. ``int8``: calibrated on samples; operations without int8 stay in float."""
_ROOT = Path(__file__).resolve().parent.parent.parent
_FATAL = re.compile(r"^F\d{4} |LLVM ERROR|Assertion|Check failed")
_SHOWN = 400


class Converter:
    """The process, started at the first conversion and again after a crash. A context manager that ends it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[str] = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115

    def __enter__(self) -> Converter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._said.close()

    def start(self) -> subprocess.Popen[str]:
        """Start the process unless it runs already; it loads TensorFlow in parallel to the caller."""
        if self._process is None or self._process.poll() is not None:
            self._end()
            paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "export.doctor.converter"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "2"},
            )
        return self._process

    def submit(self, saved_model: Path, mode: str, samples: Path | None = None) -> Callable[[], bytes]:
        """Start a conversion of a SavedModel with static shapes.

        ``mode`` is one of `MODES`; ``samples`` for ``int8`` is an ``.npz`` file with every input (N, ...) by name.

        Returns:
            A function that waits and returns the LiteRT file, or raises ExportError when the converter refused the
            model or crashed. The functions of several conversions must be called in the order of submission.
        """
        process = self.start()
        out = saved_model / f"{mode}.tflite"
        request = {"saved_model": str(saved_model), "mode": mode, "samples": str(samples or ""), "out": str(out)}
        # The process may have crashed on an earlier request; then this one fails, too.
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(request), file=process.stdin, flush=True)

        def result() -> bytes:
            answers = process.stdout
            line = answers.readline() if answers is not None else ""
            if not line:
                raise ExportError(f"the LiteRT converter crashed ({_how(process.wait())}){self._last_words()}")
            answer = json.loads(line)
            if "error" in answer:
                raise ExportError(answer["error"])
            return out.read_bytes()

        return result

    def convert(self, saved_model: Path, mode: str, samples: Path | None = None) -> bytes:
        """Convert and wait. See `submit`."""
        return self.submit(saved_model, mode, samples)()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # the process ended before it read the request
                    stream.close()

    def _last_words(self) -> str:
        self._said.seek(0)
        fatal = [line.strip() for line in self._said if _FATAL.search(line)]
        self._said.seek(0, os.SEEK_END)
        return f": {fatal[-1][:_SHOWN]}" if fatal else ""


def _how(status: int) -> str:
    try:
        return signal.Signals(-status).name if status < 0 else f"exit status {status}"
    except ValueError:
        return f"signal {-status}"


def _convert(request: dict[str, Any]) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(request["saved_model"], signature_keys=["serving_default"])
    kinds = tf.lite.OpsSet
    operations = [kinds.TFLITE_BUILTINS]
    if request["mode"] == "int8":
        operations = [kinds.TFLITE_BUILTINS_INT8, kinds.TFLITE_BUILTINS]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        with np.load(request["samples"]) as file:
            samples = dict(file)

        def representative() -> Iterator[dict[str, np.ndarray]]:
            for index in range(len(next(iter(samples.values())))):
                yield {name: values[index : index + 1] for name, values in samples.items()}

        converter.representative_dataset = representative
    if request["mode"] == "select":
        operations.append(kinds.SELECT_TF_OPS)
        converter.allow_custom_ops = True
    converter.target_spec.supported_ops = operations
    content: bytes = converter.convert()
    return content


def _main() -> int:
    # TensorFlow's own output must not mix with the responses.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            Path(request["out"]).write_bytes(_convert(request))
            answer: dict[str, Any] = {"done": True}
        except Exception as error:  # ConverterError is private, and other failures are bare exceptions
            answer = {"error": str(error) or type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the caller prints it
        sys.exit(_main())
