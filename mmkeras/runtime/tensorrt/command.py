"""``mmkeras build-engine``; ``python -m export.tensorrt_from_onnx`` has the same options."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path

from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError, nearest
from mmkeras.core.terminal import say, say_json, show_progress
from mmkeras.runtime.tensorrt.builder import BuildOptions
from mmkeras.runtime.tensorrt.building import build_engine, onnx_file
from mmkeras.runtime.tensorrt.cuda import gpus
from mmkeras.runtime.tensorrt.library import LIBRARIES
from mmkeras.runtime.tensorrt.sidecar import BatchRange, BuiltFor

__all__ = ["add_command_options", "add_options", "build", "options_of", "report"]

_LARGEST_MIB = 1 << 24


def add_command_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mmkeras build-engine`` to a parser."""
    add = parser.add_argument
    add("--precision", metavar="NAME", help="of the ONNX file to build from (default: the most exact one)")
    add("--out", metavar="FILE", help="engine to write (default: engines/<name>.<precision>.plan in the bundle)")
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every build to a parser."""
    add = parser.add_argument
    about = "batch size, or min:opt:max such as 1:4:8 (default: 1, whose inference is replayed as a CUDA graph)"
    add("--batch", default="1", metavar="N", help=about)
    add("--workspace", type=int, default=0, metavar="MIB", help="limit of scratch memory (default: the library's)")
    add("--dla", type=int, default=-1, metavar="CORE", help="DLA core; the GPU runs the layers that it cannot run")
    add("--version-compatible", action="store_true", help="build an engine that later versions of TensorRT also load")
    add("--tf32", action="store_true", help="multiply float32 with 10 bits of mantissa: faster, less exact")
    add("--timing-cache", metavar="FILE", help="measurements for the next build (default: beside the engine)")
    add("--library", metavar="NAME", help=f"{' or '.join(LIBRARIES)} (default: the first usable one)")


def options_of(given: argparse.Namespace) -> BuildOptions:
    """Return the build options of a command line."""
    if not 0 <= given.workspace <= _LARGEST_MIB:
        raise ConfigError(
            f"--workspace: expected MiB up to {_LARGEST_MIB}, or 0 for the library's own limit, got {given.workspace}"
        )
    if given.dla < -1:
        raise ConfigError(f"--dla: expected the number of a core, 0 or more, got {given.dla}")
    if given.library is not None and given.library not in LIBRARIES:
        raise ConfigError(f"--library {given.library}: unknown; {nearest(given.library, LIBRARIES)}")
    return BuildOptions(BatchRange.parse(given.batch), given.workspace, given.dla, given.version_compatible, given.tf32)


def build(bundle: Bundle, given: argparse.Namespace) -> int:
    """Build an engine from an ONNX file of the bundle and print what it was built for."""
    options = options_of(given)
    file = onnx_file(bundle, given.precision)
    if not given.json:
        say(f"building from {file.path}: this takes seconds to many minutes", to=sys.stderr)
    engine, built = build_engine(
        bundle,
        given.precision,
        options,
        library=given.library,
        out=Path(given.out) if given.out else None,
        timing_cache=Path(given.timing_cache) if given.timing_cache else None,
        say=show_progress,
    )
    report(engine, built, as_json=given.json)
    if not given.json and not given.out and gpus():
        say(f"Next: mmkeras selftest {os.path.relpath(bundle.place)}")
        say(f"      mmkeras benchmark {os.path.relpath(bundle.place)} --format tensorrt")
    return 0


def report(engine: Path, built: BuiltFor, *, as_json: bool) -> None:
    """Print a finished engine."""
    if as_json:
        say_json({"engine": str(engine), **dataclasses.asdict(built)}, indent=2)
        return
    where = f"{built.gpu}, compute capability {built.compute_capability}" if built.gpu else "any supported GPU"
    sizes = next(iter(built.profile.values()))
    batch = BatchRange(sizes.min[0], sizes.opt[0], sizes.max[0])
    say(
        f"{engine}: {built.engine_bytes / 1e6:.2f} MB in {built.build_seconds:.1f} s, {built.library} "
        f"{built.library_version} for {where}, batch {batch}"
    )
