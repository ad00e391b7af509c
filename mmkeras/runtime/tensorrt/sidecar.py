"""The sidecar of an engine: a JSON file beside it that is checked before TensorRT loads the engine.

An engine crashes with another GPU or TensorRT than it was built for. ``vqa.float16.plan.json`` names both, and holds
the shapes of the inputs and the hashes of the ONNX file and of the engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.core.errors import BundleError, ConfigError
from mmkeras.core.typed import Checked, read_json
from mmkeras.storage.files import write_json
from mmkeras.storage.hashes import digest

if TYPE_CHECKING:
    from mmkeras.runtime.tensorrt.cuda import Gpu

__all__ = ["BatchRange", "BuiltFor", "SCHEMA_VERSION", "Shapes", "read_sidecar", "sidecar_path", "write_sidecar"]

SCHEMA_VERSION = 1
_LARGEST_BATCH = 4096
_LARGEST_BYTES = 1 << 20
_RETRY = "Build the engine again with: mmkeras build-engine BUNDLE"


@dataclass(frozen=True)
class Shapes:
    """The shapes of one input in an optimisation profile, with the batch dimension."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    """The shape that the engine is optimised for."""
    max: tuple[int, ...]
    """The largest shape, which memory is allocated for."""


@dataclass(frozen=True)
class BatchRange:
    """The batch sizes of an engine."""

    min: int = 1
    opt: int = 1
    """The size that the engine is optimised for."""
    max: int = 1

    @classmethod
    def parse(cls, text: str) -> BatchRange:
        """Read ``1`` or ``1:4:8`` (min, opt, max).

        Raises:
            ConfigError: another form, or a size out of range.
        """
        parts = text.split(":")
        if len(parts) not in (1, 3) or not all(part.isascii() and part.isdecimal() for part in parts):
            raise ConfigError(f"--batch: expected one size such as 1, or min:opt:max such as 1:4:8, got {text!r}")
        sizes = [int(part) for part in parts]
        low, best, high = sizes * 3 if len(sizes) == 1 else sizes
        if not 1 <= low <= best <= high <= _LARGEST_BATCH:
            raise ConfigError(f"--batch: expected 1 <= min <= opt <= max <= {_LARGEST_BATCH}, got {text!r}")
        return cls(low, best, high)

    @property
    def static(self) -> bool:
        """Whether there is only one size; its inference can then be a CUDA graph."""
        return self.min == self.max

    def __str__(self) -> str:
        return str(self.min) if self.static else f"{self.min}:{self.opt}:{self.max}"

    def shapes(self, name: str, shape: Sequence[int]) -> Shapes:
        """Return the profile of one input from its shape in the network, in which -1 is a dynamic dimension.

        Raises:
            BundleError: a dimension other than the batch is dynamic.
            ConfigError: the batch has a fixed size other than the requested one.
        """
        dims = tuple(int(size) for size in shape)
        loose = [axis for axis, size in enumerate(dims) if size < 0 and axis]
        if loose or not dims:
            what = f"dimensions {loose} are dynamic" if loose else "it has no dimension"
            raise BundleError(
                f"Input {name}: expected (batch, ...) where only the batch may be dynamic, got {list(dims)}: {what}. "
                "Export the ONNX file again with python -m export."
            )
        if dims[0] >= 0:
            if not self.static or dims[0] != self.min:
                raise ConfigError(
                    f"Input {name} has the fixed batch size {dims[0]} in the ONNX file, but --batch is {self}. "
                    f"Give --batch {dims[0]}, or export a file with a dynamic batch."
                )
            return Shapes(dims, dims, dims)
        return Shapes(*((size, *dims[1:]) for size in (self.min, self.opt, self.max)))


@dataclass(frozen=True)
class BuiltFor:
    """The contents of a sidecar."""

    engine_sha256: str
    """Hex digest of the engine."""
    engine_bytes: int
    library: str
    library_version: str
    gpu: str
    """Name of the GPU it was built on; empty if tensorrt-rtx built it without a GPU."""
    compute_capability: str
    """Of that GPU, for example ``8.7``; empty without a GPU."""
    onnx: str
    """Path of the ONNX file in its bundle, or its name."""
    onnx_sha256: str
    """Hex digest of that file."""
    precision: str
    """Precision in the manifest; empty for an ONNX file outside a bundle."""
    profile: dict[str, Shapes]
    workspace_mib: int = 0
    """Limit of scratch memory in MiB; 0 for the library's default."""
    dla: int = -1
    """DLA core; -1 for no DLA."""
    version_compatible: bool = False
    """Whether later versions of TensorRT may load it."""
    tf32: bool = False
    """Whether float32 may be multiplied with 10 bits of mantissa."""
    build_seconds: float = 0.0

    def mismatches(self, library: str, version: str, gpu: Gpu | None) -> list[str]:
        """Return why the engine cannot run with a library and GPU; empty if it can."""
        found = []
        if library != self.library:
            found.append(f"built by {self.library} {self.library_version}, installed is {library} {version}")
        elif not self._runs_with(version):
            hint = "" if self.version_compatible else "; later versions load one built with --version-compatible"
            found.append(f"built by {library} {self.library_version}, installed is {version}{hint}")
        if self.compute_capability and gpu is not None:
            if gpu.compute_capability != self.compute_capability:
                here = f"{gpu.name} (compute capability {gpu.compute_capability})"
                found.append(f"built on {self.gpu} (compute capability {self.compute_capability}), this GPU is {here}")
            elif gpu.name != self.gpu:
                found.append(f"built on {self.gpu}, this GPU is {gpu.name}, which needs other kernels")
        return found

    def _runs_with(self, version: str) -> bool:
        if version == self.library_version:
            return True
        if not self.version_compatible:
            return False
        built, here = _numbers(self.library_version), _numbers(version)
        # Source: TensorRT documentation, Version Compatibility: the same or a later version, at most the next major.
        steps = {8: (8, 10), 10: (10, 11), 11: (11,)}
        return here >= built and bool(here) and here[0] in steps.get(built[0], (built[0],))


def sidecar_path(engine: Path) -> Path:
    """Return the path of an engine's sidecar."""
    return engine.with_name(f"{engine.name}.json")


def write_sidecar(engine: Path, built: BuiltFor) -> Path:
    """Write the sidecar of an engine atomically, and return its path."""
    return write_json(sidecar_path(engine), {"schema_version": SCHEMA_VERSION, **asdict(built)})


def read_sidecar(engine: Path, *, check: bool = True) -> BuiltFor:
    """Read and check the sidecar of an engine; with ``check`` also the engine's hash.

    Raises:
        BundleError: the sidecar is missing, truncated, of another schema or has a wrong key or type, or the engine has
            another hash.
    """
    path = sidecar_path(engine)
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise BundleError(f"{path}: expected a few kilobytes of JSON, got {path.stat().st_size} bytes. {_RETRY}")
        value = read_json(path, BundleError, _RETRY)
    except FileNotFoundError as error:
        raise BundleError(
            f"{engine} is not loaded: {path.name} with its GPU and TensorRT version is missing, and an engine of "
            f"another GPU or version crashes the process. {_RETRY}"
        ) from error
    built = _parse(value, path)
    if check:
        try:
            got = digest(engine.parent, engine.name)
        except OSError as error:
            raise BundleError(f"{engine} cannot be read: {error.strerror or 'missing'}. {_RETRY}") from error
        if got != built.engine_sha256:
            raise BundleError(
                f"{engine} is not the engine that {path.name} describes: expected sha256 {built.engine_sha256}, "
                f"got {got}. It was altered or cut off. {_RETRY}"
            )
    return built


def _parse(value: dict[str, Any], path: Path) -> BuiltFor:
    version = value.pop("schema_version", None)
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BundleError(f"{path}: schema_version: expected {SCHEMA_VERSION}, got {version!r:.40}. {_RETRY}")
    missing = [field.name for field in fields(BuiltFor) if field.name not in value]
    if missing:
        raise BundleError(f"{path}: {missing[0]}: missing. {_RETRY}")
    built = Checked(str(path), BundleError, _RETRY).build(BuiltFor, value)
    for name, shapes in built.profile.items():
        sizes = (shapes.min, shapes.opt, shapes.max)
        if not all(dims and all(0 < size < 1 << 31 for size in dims) for dims in sizes):
            raise BundleError(f"{path}: profile.{name:.60}: expected sizes, got {sizes!r:.80}. {_RETRY}")
        ranks = {len(dims) for dims in sizes}
        if len(ranks) > 1 or not all(low <= best <= high for low, best, high in zip(*sizes, strict=True)):
            raise BundleError(f"{path}: profile.{name:.60}: expected min <= opt <= max, got {sizes!r:.80}. {_RETRY}")
    if not built.profile:
        raise BundleError(f"{path}: profile: expected at least one input, got none. {_RETRY}")
    return built


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, itertools.takewhile(str.isdecimal, version.split(".")))) or (0,)
