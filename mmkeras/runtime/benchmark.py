"""Times the edge files on the golden inputs, each file in a separate process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import BundleError, DependencyError, MmkerasError
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.processes import run_module
from mmkeras.runtime.tensorrt.engines import EngineFile, copy_engine

__all__ = ["Timing", "benchmark", "measure"]


@dataclass(frozen=True)
class Timing:
    """Measurements of one file, for batches of one sample."""

    format: str
    precision: str
    path: str
    """Relative to the bundle."""
    engine: str
    threads: int
    device: str
    runs: int
    """Timed inferences, after the warm-up."""
    bytes: int
    """Size of the file."""
    load_ms: float
    """Time to check the hash, import the engine and load the file."""
    p50_ms: float
    """Median time of one inference."""
    p90_ms: float
    p99_ms: float
    per_second: float
    """Sequential inferences per second."""
    answer_p50_ms: float | None
    """Median time from raw inputs to the decoded answer; None without raw golden inputs, or without Pillow."""
    peak_mib: float
    """Largest resident memory of the process: Python, numpy, the engine and the model."""


def benchmark(
    bundle: Bundle,
    files: list[ExportedFile],
    *,
    runs: int = 200,
    warmup: int = 20,
    threads: int = 1,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda what: None,
) -> list[Timing]:
    """Measure files one after the other, each in a fresh process, so that their peak memory is separate.

    The files must be accepted and their engines installed. ``runs`` inferences are timed after ``warmup`` others on
    ``device``: ``cpu``, ``cuda`` or ``tensorrt``. ``progress`` is called with a file's path before it is measured.

    Raises:
        MmkerasError: a file could not be measured; the message holds the last line of the process.
    """
    timings = []
    for file in files:
        progress(file.path)
        request = {"folder": str(bundle.folder), "format": file.format, "precision": file.precision, "device": device}
        how = {"runs": runs, "warmup": warmup, "threads": threads}
        if bundle.packed:
            # Unpack the files here: the other process reads the folder and has no key.
            if isinstance(file, EngineFile):
                copy_engine(file, bundle.folder)
            else:
                bundle.load(file.path, file.sha256)
            bundle.golden_raw()
            bundle.golden()
        command = [*run_module("mmkeras.runtime.benchmark"), json.dumps(request | how)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise MmkerasError(f"{file.path} could not be measured: {reason}")
        timings.append(Timing(**json.loads(done.stdout.splitlines()[-1])))
    return timings


def measure(
    folder: str | Path,
    format: str,
    precision: str,
    *,
    runs: int = 200,
    warmup: int = 20,
    threads: int = 1,
    device: str = "cpu",
) -> Timing:
    """Measure one file in this process; see `benchmark`."""
    bundle = Bundle.open(folder)
    golden = bundle.golden()
    if not len(golden):
        raise BundleError(f"{bundle.place} has no golden samples to measure with. Export it again.")
    start = time.perf_counter()
    with Predictor(bundle, format, precision, threads=threads, device=device) as predictor:
        load = time.perf_counter() - start
        inputs = [{n: array[i : i + 1] for n, array in golden.inputs.items()} for i in range(len(golden))]
        times = _times(lambda i: predictor.runner.infer(inputs[i % len(inputs)]), runs, warmup)
        raw = [values for values in bundle.golden_raw() if any(v is not None for v in values.values())]
        answers = None
        with contextlib.suppress(DependencyError):  # without Pillow the engine can still be timed
            answers = _times(lambda i: predictor.predict(**raw[i % len(raw)]), runs, warmup) if raw else None
        p50, p90, p99 = np.percentile(times, [50, 90, 99]).tolist()
        return Timing(
            format=format,
            precision=precision,
            path=predictor.file.path,
            engine=predictor.runner.engine,
            threads=threads,
            device=predictor.runner.device,
            runs=runs,
            bytes=predictor.file.bytes,
            load_ms=1e3 * load,
            p50_ms=p50,
            p90_ms=p90,
            p99_ms=p99,
            per_second=1e3 / float(np.mean(times)),
            answer_p50_ms=None if answers is None else float(np.percentile(answers, 50)),
            peak_mib=_peak_mib(),
        )


def _times(run: Callable[[int], Any], runs: int, warmup: int) -> np.ndarray:
    """Return the time of each run in milliseconds."""
    for index in range(warmup):
        run(index)
    times = np.empty(runs)
    for index in range(runs):
        start = time.perf_counter_ns()
        run(index)
        times[index] = time.perf_counter_ns() - start
    return times / 1e6


def _peak_mib() -> float:
    # getrusage is wrong on Linux: ru_maxrss survives exec, so a child of a large process reports its parent's peak.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts bytes


if __name__ == "__main__":
    _request = json.loads(sys.argv[1])
    try:
        print(json.dumps(asdict(measure(**_request))))
    except MmkerasError as _error:
        sys.exit(str(_error))
