"""Builds, verifies and times the TensorRT engines of a bundle on this machine's GPU and writes one JSON file.

``python -m export.tensorrt_benchmark BUNDLE`` builds an engine of every ONNX file except int8-dynamic ones, compares it
with the golden samples in every modality scenario, and times the engines beside ONNX Runtime on the CPU, and on CUDA
where its package has it. ``--samples 2000`` also gives the task metric and the flipped decisions on the test split, and
``--keras`` the Keras model's latency; both need the training environment, ``--samples`` also the data. Exit status: 0
when every engine was built and verified, 1 when one was not (always without a GPU), 2 for an error. The engines are
built in a scratch folder and removed, unless ``--keep`` leaves them in the bundle.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import ConfigError, MmkerasError
from mmkeras.core.terminal import say, show_progress, utf8_program
from mmkeras.runtime import tables
from mmkeras.runtime.benchmark import benchmark
from mmkeras.runtime.grid import Grid
from mmkeras.runtime.predictor import open_runner
from mmkeras.runtime.selftest import selftest
from mmkeras.runtime.tensorrt.building import build_engine
from mmkeras.runtime.tensorrt.command import add_options, options_of
from mmkeras.runtime.tensorrt.cuda import gpus, why_no_gpu
from mmkeras.runtime.tensorrt.engines import EngineFile, engine_files
from mmkeras.storage.files import write_json

__all__ = ["main", "run"]

_DYNAMIC = "int8-dynamic"


@utf8_program
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return the exit status."""
    parser = argparse.ArgumentParser(
        "python -m export.tensorrt_benchmark", description=__doc__.split("\n")[0], allow_abbrev=False
    )
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", help="a bundle's folder")
    add("--runs", type=int, default=500, metavar="N", help="timed inferences per file (default: 500)")
    add("--samples", type=int, default=0, metavar="N", help="test samples for the task metric (default: none)")
    add("--keras", action="store_true", help="time the Keras model, too")
    add("--keep", action="store_true", help="leave the engines in the bundle")
    out = Path("tensorrt_benchmark.json")
    add("--out", type=Path, default=out, metavar="FILE", help="result (default: %(default)s)")
    add_options(parser)
    given = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        if given.runs < 1 or given.samples < 0:
            raise ConfigError(f"Expected --runs >= 1 and --samples >= 0, got {given.runs} and {given.samples}")
        with Bundle.open(given.bundle) as bundle, _engines_aside(bundle, keep=given.keep) as work:
            result = run(work, given)
    except MmkerasError as error:
        say(f"{type(error).__name__}: {error}", to=sys.stderr)
        return 2
    write_json(given.out, result)
    _print(result)
    say(f"written: {given.out}")
    return 0 if result["passed"] else 1


def run(bundle: Bundle, given: argparse.Namespace) -> dict[str, Any]:
    """Build, verify and time every engine; the failure of one is recorded with its reason."""
    options = options_of(given)
    files = [
        f for f in bundle.files if f.format == "onnx" and f.accepted and bundle.holds(f) and f.precision != _DYNAMIC
    ]
    if not files:
        raise ConfigError(f"{bundle.place} has no ONNX file to build from. Export one with --formats onnx.")
    result: dict[str, Any] = {"machine": _machine(), "bundle": bundle.manifest.name, "version": bundle.manifest.version}
    result["builds"] = [_build(bundle, file, given, options) for file in files]
    done = {file.precision for file in files} & {b["precision"] for b in result["builds"] if "error" not in b}
    engines = [file for file in engine_files(bundle) if file.precision in done]
    checks = [c for c in selftest(bundle).files if c.format in ("onnx", "tensorrt")]
    result["parity"] = [dataclasses.asdict(check) for check in checks]
    result["latency"] = list(_latencies(bundle, [*engines, *files], given.runs))
    if given.keras:
        result["latency"].append(_keras_latency(bundle, given.runs))
    result["metric"] = list(_metrics(bundle, engines, given.samples)) if given.samples else []
    proven = {check.precision for check in checks if check.format == "tensorrt" and check.verdict == "passed"}
    result["passed"] = proven >= {file.precision for file in files}
    result["why_not"] = (
        "" if result["passed"] else why_no_gpu() or "an engine was not built or its outputs differ from Keras'"
    )
    return result


def _build(bundle: Bundle, file: ExportedFile, given: argparse.Namespace, options: Any) -> dict[str, Any]:
    try:
        _, built = build_engine(bundle, file.precision, options, library=given.library, say=show_progress)
    except MmkerasError as error:
        return {"precision": file.precision, "error": str(error)}
    return dataclasses.asdict(built)


def _latencies(bundle: Bundle, files: Sequence[ExportedFile], runs: int) -> Iterator[dict[str, Any]]:
    for file in files:
        for device in ("tensorrt",) if isinstance(file, EngineFile) else ("cpu", *_cuda()):
            what = {"format": file.format, "precision": file.precision, "device": device}
            try:
                (timing,) = benchmark(bundle, [file], runs=runs, warmup=min(runs, 50), device=device)
            except MmkerasError as error:
                yield {**what, "error": str(error)}
            else:
                yield dataclasses.asdict(timing)


def _cuda() -> tuple[str, ...]:
    if importlib.util.find_spec("onnxruntime") is None:
        return ()
    import onnxruntime

    return ("cuda",) if "CUDAExecutionProvider" in onnxruntime.get_available_providers() else ()


def _metrics(bundle: Bundle, engines: Sequence[EngineFile], samples: int) -> Iterator[dict[str, Any]]:
    """Compare each engine with the Keras model on the test split, in every modality scenario."""
    from export.source import load_source
    from export.verification.verify import Reference

    reference = Reference(load_source(bundle.folder, samples), show_progress)
    for engine in engines:
        try:
            with open_runner(bundle, engine) as runner:
                scenarios = {
                    case.scenario.name: reference.measure(case, runner.infer, 64).to_json() for case in reference.cases
                }
        except MmkerasError as error:
            yield {"precision": engine.precision, "error": str(error)}
        else:
            yield {"precision": engine.precision, "keras": reference.metrics, "scenarios": scenarios}


def _keras_latency(bundle: Bundle, runs: int) -> dict[str, Any]:
    """Time the Keras model as one TensorFlow graph on single golden samples, on TensorFlow's default device."""
    import tensorflow as tf

    from export.verification.passes import keras_infer
    from mmkeras.layers.keras_files import load_model
    from mmkeras.training.run import register_layers

    register_layers()
    golden = bundle.golden()
    infer = keras_infer(load_model(bundle.folder / "model.keras"))
    names = [tensor.name for tensor in bundle.inputs]
    rows = [{name: golden.inputs[name][i : i + 1] for name in names} for i in range(len(golden))]
    times = []
    for number in range(runs + 20):
        start = time.perf_counter()
        infer(rows[number % len(rows)])
        times.append(1e3 * (time.perf_counter() - start))
    p50, p90, p99 = np.percentile(times[20:], [50, 90, 99])
    device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"
    return {"format": "keras", "precision": "float32", "device": device, "p50_ms": p50, "p90_ms": p90, "p99_ms": p99}


@contextmanager
def _engines_aside(bundle: Bundle, *, keep: bool) -> Iterator[Bundle]:
    """Yield the bundle, or a temporary copy of it for the engines."""
    if keep or bundle.packed:
        yield bundle
        return
    with tempfile.TemporaryDirectory(prefix="mmkeras-") as scratch:
        shutil.copytree(bundle.folder, Path(scratch) / "1", ignore=shutil.ignore_patterns("engines"))
        yield Bundle.open(Path(scratch) / "1")


def _machine() -> dict[str, Any]:
    return {
        "gpus": [dataclasses.asdict(gpu) for gpu in gpus()],
        "why_no_gpu": why_no_gpu(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _print(result: dict[str, Any]) -> None:
    numbers = ("build s", "max diff", "flips", "p50 ms", "p90 ms", "p99 ms")
    gpu = ", ".join(gpu["name"] for gpu in result["machine"]["gpus"]) or "no GPU"
    grid = Grid(
        f"{result['bundle']} version {result['version']} on {gpu}", ("file", *numbers, "verdict"), right=numbers
    )
    builds = {entry["precision"]: entry for entry in result["builds"]}
    checks = {(entry["format"], entry["precision"]): entry for entry in result["parity"]}
    for row in result["latency"]:
        key = (row["format"], row["precision"])
        check = checks.get(key, {})
        built = builds.get(row["precision"], {}) if row["format"] == "tensorrt" else {}
        differs = check.get("max_abs_diff")
        grid.add(
            f"{' '.join(key)} ({row['device']})",
            f"{built['build_seconds']:.1f}" if "build_seconds" in built else "",
            f"{differs:.1e}" if differs is not None else "",
            str(check["flips"]) if check.get("samples") else "",
            *(f"{row[name]:.3f}" if name in row else "" for name in ("p50_ms", "p90_ms", "p99_ms")),
            row.get("error") or check.get("verdict", ""),
        )
    tables.show([grid])
    for entry in (*result["builds"], *result["metric"]):
        if "error" in entry:
            say(f"{entry['precision']}: {entry['error']}")
    for entry in result["metric"]:
        for name, scenario in entry.get("scenarios", {}).items():
            change = f"{scenario['metric']:.4f} ({scenario['metric_change']:+.4f})"
            say(f"{entry['precision']} {name}: metric {change}, {scenario['flips']} of {scenario['samples']} flipped")
    if result["why_not"]:
        say(f"not proven: {result['why_not']}")
