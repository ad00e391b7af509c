"""What an engine was built for: a JSON file beside it, read and checked before the engine is given to TensorRT.

An engine runs on the GPU and with the TensorRT it was built for, or crashes. ``vqa.float16.plan.json`` says both, the
ONNX file it came from by its hash, the shapes it takes, and the hash of the engine itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmkeras.core.errors import BundleError
from mmkeras.core.typed import parse_json
from mmkeras.runtime.tensorrt.profile import Shapes
from mmkeras.storage.files import write_json
from mmkeras.storage.hashes import digest

if TYPE_CHECKING:
    from mmkeras.runtime.tensorrt.cuda import Gpu

__all__ = ["SCHEMA_VERSION", "BuiltFor", "read_sidecar", "sidecar_path", "write_sidecar"]

SCHEMA_VERSION = 1
"""Version of the sidecar's schema."""
_LARGEST = 1 << 20
_RETRY = "Build the engine again with: mmkeras build-engine BUNDLE"


@dataclass(frozen=True)
class BuiltFor:
    """Contents of a sidecar."""

    engine_sha256: str
    """Hex digest of the engine."""
    engine_bytes: int
    """Its size."""
    library: str
    """``tensorrt`` or ``tensorrt-rtx``."""
    library_version: str
    """Version that built it."""
    gpu: str
    """Name of the GPU it was built on; empty where tensorrt-rtx built it without one."""
    compute_capability: str
    """Of that GPU, for example ``8.7``; empty without one."""
    onnx: str
    """Path of the ONNX file in its bundle, or its name."""
    onnx_sha256: str
    """Hex digest of that file."""
    precision: str
    """As the manifest names it; empty where the ONNX file was given alone."""
    profile: dict[str, Shapes]
    """Shapes by input."""
    workspace_mib: int = 0
    """Limit of the scratch memory in MiB; 0 for the library's own."""
    dla: int = -1
    """DLA core; -1 for none."""
    version_compatible: bool = False
    """Whether later versions of TensorRT may load it."""
    tf32: bool = False
    """Whether float32 may be multiplied with 10 bits of mantissa."""
    build_seconds: float = 0.0
    """How long the build took."""

    def mismatches(self, library: str, version: str, gpu: Gpu | None) -> list[str]:
        """Return why the engine cannot run here; none when it can.

        Args:
            library: name of the library that is to run it.
            version: its version.
            gpu: the GPU that is to run it.
        """
        found = []
        if library != self.library:
            found.append(f"it was built by {self.library} {self.library_version}, here is {library} {version}")
        elif not self._runs_with(version):
            hint = "" if self.version_compatible else "; --version-compatible builds one that later versions load"
            found.append(f"it was built by {library} {self.library_version}, here is {version}{hint}")
        if self.compute_capability and gpu is not None:
            if gpu.compute_capability != self.compute_capability:
                here = f"{gpu.name} (compute capability {gpu.compute_capability})"
                found.append(
                    f"it was built on {self.gpu} (compute capability {self.compute_capability}), here is {here}"
                )
            elif gpu.name != self.gpu:
                found.append(f"it was built on {self.gpu}, here is {gpu.name}, whose kernels would be other ones")
        return found

    def _runs_with(self, version: str) -> bool:
        if version == self.library_version:
            return True
        if not self.version_compatible:
            return False
        built, here = _numbers(self.library_version), _numbers(version)
        # Source: TensorRT documentation, Version Compatibility: the same or a later version, at most one major further.
        steps = {8: (8, 10), 10: (10, 11), 11: (11,)}
        return here >= built and bool(here) and here[0] in steps.get(built[0], (built[0],))


def sidecar_path(engine: Path) -> Path:
    """Return where the sidecar of an engine lies."""
    return engine.with_name(f"{engine.name}.json")


def write_sidecar(engine: Path, built: BuiltFor) -> Path:
    """Write the sidecar of an engine whole or not at all."""
    return write_json(sidecar_path(engine), {"schema_version": SCHEMA_VERSION, **asdict(built)})


def read_sidecar(engine: Path, *, check: bool = True) -> BuiltFor:
    """Read and check the sidecar of an engine.

    Args:
        engine: the engine's file.
        check: whether the engine must be the file that the sidecar describes, by its hash.

    Raises:
        BundleError: missing, cut off, of another schema, with a wrong key or type; or the engine is another file.
    """
    path = sidecar_path(engine)
    try:
        if path.stat().st_size > _LARGEST:
            raise BundleError(f"{path}: expected a few kilobytes of JSON, got {path.stat().st_size} bytes. {_RETRY}")
        value = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(
            f"{engine} has no {path.name} beside it, which says what it was built for, and so it is not loaded: an "
            f"engine of another GPU or TensorRT ends the process. {_RETRY}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} cannot be read as JSON: {error}. {_RETRY}") from error
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


def _parse(value: Any, path: Path) -> BuiltFor:
    if not isinstance(value, dict):
        raise BundleError(f"{path}: expected an object, got {type(value).__name__}. {_RETRY}")
    if value.get("schema_version") != SCHEMA_VERSION:
        got = value.get("schema_version")
        raise BundleError(f"{path}: schema_version: expected {SCHEMA_VERSION}, got {got!r:.40}. {_RETRY}")
    fields = {}
    for name, kind in _TYPES.items():
        if name not in value:
            raise BundleError(f"{path}: {name}: missing. {_RETRY}")
        # bool is an int in Python.
        item = value[name]
        fits = isinstance(item, (int, float) if kind is float else kind)
        if not fits or isinstance(item, bool) != (kind is bool):
            raise BundleError(f"{path}: {name}: expected {kind.__name__}, got {item!r:.60}. {_RETRY}")
        fields[name] = item
    unknown = sorted(value.keys() - _TYPES.keys() - {"schema_version"})
    if unknown:
        raise BundleError(f"{path}: {unknown[0]!r:.60}: unknown key. {_RETRY}")
    return BuiltFor(**{**fields, "profile": _profile(fields["profile"], path)})


_TYPES: dict[str, type] = {
    "engine_sha256": str,
    "engine_bytes": int,
    "library": str,
    "library_version": str,
    "gpu": str,
    "compute_capability": str,
    "onnx": str,
    "onnx_sha256": str,
    "precision": str,
    "profile": dict,
    "workspace_mib": int,
    "dla": int,
    "version_compatible": bool,
    "tf32": bool,
    "build_seconds": float,
}


def _profile(value: dict[str, Any], path: Path) -> dict[str, Shapes]:
    shapes = {}
    for name, item in value.items():
        if not isinstance(item, dict) or item.keys() != {"min", "opt", "max"}:
            raise BundleError(f"{path}: profile.{name:.60}: expected min, opt and max, got {item!r:.60}. {_RETRY}")
        for key, dims in item.items():
            if not isinstance(dims, list) or not dims or not all(type(d) is int and 0 < d < 1 << 31 for d in dims):
                raise BundleError(f"{path}: profile.{name:.60}.{key}: expected sizes, got {dims!r:.60}. {_RETRY}")
        shape = Shapes(*(tuple(item[key]) for key in ("min", "opt", "max")))
        same = len(shape.min) == len(shape.opt) == len(shape.max)
        if not same or not all(a <= b <= c for a, b, c in zip(shape.min, shape.opt, shape.max, strict=True)):
            raise BundleError(f"{path}: profile.{name:.60}: expected min <= opt <= max, got {item!r:.80}. {_RETRY}")
        shapes[name] = shape
    if not shapes:
        raise BundleError(f"{path}: profile: expected at least one input, got none. {_RETRY}")
    return shapes


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        parts.append(int(part))
    return tuple(parts) or (0,)
