"""Builds the engines of a bundle, and rebuilds those that do not fit this machine or this bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmkeras.bundle import Bundle, ExportedFile
from mmkeras.core.errors import BundleError, ConfigError, nearest
from mmkeras.runtime.tensorrt.builder import BuildOptions
from mmkeras.runtime.tensorrt.compiling import Job, compile_engine
from mmkeras.runtime.tensorrt.cuda import gpus
from mmkeras.runtime.tensorrt.engines import SUFFIX, engine_files, engine_folder
from mmkeras.runtime.tensorrt.library import open_library
from mmkeras.runtime.tensorrt.sidecar import BatchRange, BuiltFor, read_sidecar

__all__ = ["build_engine", "onnx_file", "rebuild_stale"]

_ORDER = ("float32", "float16", "int8")
_DYNAMIC = "int8-dynamic"


def onnx_file(bundle: Bundle, precision: str | None = None) -> ExportedFile:
    """Return the ONNX file to build from: the requested precision, or the most exact one.

    Raises:
        ConfigError: the bundle has no such file.
        BundleError: its export rejected it.
    """
    files = [file for file in bundle.files if file.format == "onnx" and bundle.holds(file)]
    if precision is None:
        requested = [file for file in files if file.accepted and file.precision != _DYNAMIC]
    else:
        requested = [file for file in files if file.precision == precision]
    if not requested:
        names = {file.precision for file in files if file.precision != _DYNAMIC}
        hint = nearest(precision, names) if precision else f"it has {', '.join(sorted(names)) or 'none'}"
        raise ConfigError(
            f"{bundle.place} has no ONNX file{f' in {precision}' if precision else ''} to build an engine from; "
            f"{hint}. Export one with python -m export BUNDLE --formats onnx."
        )
    best = min(requested, key=lambda f: _ORDER.index(f.precision) if f.precision in _ORDER else len(_ORDER))
    if not best.accepted:
        raise BundleError(f"{bundle.place}: the export rejected {best.path}, so no engine is built: {best.reason}")
    return best


def build_engine(
    bundle: Bundle,
    precision: str | None = None,
    options: BuildOptions | None = None,
    *,
    library: str | None = None,
    out: Path | None = None,
    timing_cache: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Path, BuiltFor]:
    """Build an engine from an ONNX file of a bundle, and return its path and its sidecar.

    By default ``precision`` is the most exact one, ``library`` the first usable one of `LIBRARIES`, ``out`` is
    ``engines/<name>.<precision>.plan``, and ``timing_cache``, a file of measurements, is beside the engine. ``say`` is
    called with the progress.

    Raises:
        ConfigError: the bundle has no such file.
        BundleError: the ONNX file is altered.
        MmkerasError: see `compile_engine`.
    """
    file = onnx_file(bundle, precision)
    onnx = bundle.load(file.path, file.sha256)
    engine = out or engine_folder(bundle) / f"{bundle.manifest.name}.{file.precision}{SUFFIX}"
    cache = timing_cache or engine.parent / "timing.cache"
    job = Job(onnx, engine, file.path, file.precision, library, cache, options or BuildOptions())
    return engine, compile_engine(job, say)


def rebuild_stale(bundle: Bundle, say: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Rebuild the engines of a bundle that do not fit this machine or this bundle, and return their paths.

    Raises:
        MmkerasError: see `build_engine`.
    """
    rebuilt = []
    for file in engine_files(bundle):
        options, precision, library = BuildOptions(), file.precision, None
        try:
            built = read_sidecar(file.place)
            precision = built.precision or file.precision
            low, best, high = (
                max(shapes[0] for shapes in sizes)
                for sizes in zip(*((s.min, s.opt, s.max) for s in built.profile.values()), strict=True)
            )
            options = BuildOptions(
                BatchRange(low, best, high), built.workspace_mib, built.dla, built.version_compatible, built.tf32
            )
            here = open_library()
            if file.accepted and not built.mismatches(here.name, here.version, next(iter(gpus()), None)):
                continue
            library = here.name
        except BundleError:
            pass  # the sidecar or the engine is damaged: rebuild with the known settings
        say(f"building {file.path}")
        build_engine(bundle, precision, options, library=library, out=file.place, say=say)
        rebuilt.append(file.place)
    return rebuilt
