"""Builds an engine in a separate process, so that a crash inside TensorRT does not end the program."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.core.errors import BundleError, ConfigError, DependencyError, ExportError, MmkerasError
from mmkeras.runtime.processes import run_module
from mmkeras.runtime.tensorrt.builder import BuildOptions, build
from mmkeras.runtime.tensorrt.cuda import gpus
from mmkeras.runtime.tensorrt.library import open_library, why_not_here
from mmkeras.runtime.tensorrt.sidecar import BatchRange, BuiltFor, read_sidecar, write_sidecar
from mmkeras.storage.files import write_bytes
from mmkeras.storage.hashes import digest

__all__ = ["Job", "compile_engine", "run_job"]

_ERRORS = {kind.__name__: kind for kind in (BundleError, ConfigError, DependencyError, ExportError)}


@dataclass(frozen=True)
class Job:
    """One engine to build."""

    onnx: Path
    engine: Path
    """File to write, with its sidecar beside it."""
    source: str = ""
    """Path of the ONNX file in its bundle, for the sidecar."""
    precision: str = ""
    """Precision of the ONNX file in the manifest."""
    library: str | None = None
    """``tensorrt`` or ``tensorrt-rtx``; by default the first usable one."""
    timing_cache: Path | None = None
    """File of measurements; created if missing."""
    options: BuildOptions = field(default_factory=BuildOptions)

    def to_json(self) -> str:
        """Return the job for another process."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what `to_json` wrote."""
        value = json.loads(text)
        options = value.pop("options")
        cache = value.pop("timing_cache")
        return cls(
            **{**value, "onnx": Path(value["onnx"]), "engine": Path(value["engine"])},
            timing_cache=Path(cache) if cache else None,
            options=BuildOptions(**{**options, "batch": BatchRange(**options["batch"])}),
        )


def compile_engine(job: Job, say: Callable[[str], None] = lambda text: None) -> BuiltFor:
    """Build one engine in another process and return its sidecar; ``say`` is called with the progress.

    Raises:
        ConfigError: the library or GPU does not support an option.
        DependencyError: there is no TensorRT or no GPU.
        BundleError: the ONNX file is missing, damaged or not supported.
        ExportError: the builder failed or crashed.
    """
    for file in (job.engine, job.timing_cache):
        if file is not None and file.is_dir():
            raise ConfigError(f"{file}: expected a file to write, got a folder. Name a file in it.")
    # Checked here, without starting a process.
    problem = why_not_here(job.library, to_run=False)
    if problem:
        raise DependencyError(problem)
    command = [*run_module("mmkeras.runtime.tensorrt.compiling"), job.to_json()]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as child:
        said: list[str] = []
        try:
            for line in child.stderr or ():
                text = line.rstrip("\n")
                if text.startswith("progress: "):
                    say(text[len("progress: ") :])
                elif text.strip():
                    said.append(text)
            answer = (child.stdout.read() if child.stdout else "").strip().splitlines()
            child.wait()
        except BaseException:
            child.kill()
            raise
    result: Any = None
    with contextlib.suppress(ValueError, IndexError):
        result = json.loads(answer[-1])
    result = result if isinstance(result, dict) else {}
    if child.returncode == 0 and result.get("done"):
        return read_sidecar(job.engine)
    if "error" in result:
        raise _ERRORS.get(result["kind"], MmkerasError)(result["error"])
    raise ExportError(
        f"The build of {job.engine.name} ended without a result ({_how(child.returncode)}). Last output of the "
        f"library: {' | '.join(said[-3:]) or 'none'}. The build may have run out of memory; try a smaller --batch or "
        "--workspace, or another version of TensorRT."
    )


def run_job(job: Job, say: Callable[[str], None] = lambda text: None) -> BuiltFor:
    """Build one engine in this process, and write it, its sidecar and the timing cache. See `compile_engine`."""
    if not job.onnx.is_file():
        raise BundleError(f"{job.onnx} does not exist. Name an exported ONNX file.")
    library = open_library(job.library, to_run=False)
    known = b""
    if job.timing_cache is not None:
        with contextlib.suppress(FileNotFoundError):
            known = job.timing_cache.read_bytes()
    built = build(library, job.onnx, job.options, timing_cache=known, say=say)
    gpu = next(iter(gpus()), None)
    described = BuiltFor(
        engine_sha256=hashlib.sha256(built.engine).hexdigest(),
        engine_bytes=len(built.engine),
        library=library.name,
        library_version=library.version,
        gpu=gpu.name if gpu else "",
        compute_capability=gpu.compute_capability if gpu else "",
        onnx=job.source or job.onnx.name,
        onnx_sha256=digest(job.onnx.parent, job.onnx.name),
        precision=job.precision,
        profile=built.profile,
        workspace_mib=job.options.workspace_mib,
        dla=job.options.dla,
        version_compatible=job.options.version_compatible,
        tf32=job.options.tf32,
        build_seconds=round(built.seconds, 3),
    )
    # The engine first: a sidecar without its engine, or with an older one, is refused by the hash.
    write_bytes(job.engine, built.engine)
    write_sidecar(job.engine, described)
    if job.timing_cache is not None and built.timing_cache:
        write_bytes(job.timing_cache, built.timing_cache)
    return described


def _how(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _main() -> int:
    result: dict[str, Any]
    try:
        run_job(Job.from_json(sys.argv[1]), lambda text: print(f"progress: {text}", file=sys.stderr, flush=True))
        result = {"done": True}
    except MmkerasError as error:
        result = {"error": str(error), "kind": type(error).__name__}
    except OSError as error:
        result = {"error": f"A file cannot be read or written: {error}", "kind": "ExportError"}
    print(json.dumps(result))
    return 0 if "done" in result else 1


if __name__ == "__main__":
    sys.exit(_main())
