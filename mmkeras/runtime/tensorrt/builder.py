"""Builds an engine from an ONNX file with TensorRT 8.6, 10 or 11 or tensorrt-rtx.

The attributes of the library show what it supports, not its version number. The ONNX file sets the precision. From
TensorRT 10 on networks are strongly typed, and the builder follows the file. In 8.6, and for a DLA, flags are needed:
FP16 is set if the file has float16 values, INT8 if it has QuantizeLinear nodes, and the file's float32 layers are set
to float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkeras.core.errors import BundleError, ConfigError, ExportError
from mmkeras.runtime.differences.contents import explain_error
from mmkeras.runtime.tensorrt.library import Library, monitor
from mmkeras.runtime.tensorrt.sidecar import BatchRange, Shapes

__all__ = ["BuildOptions", "Built", "build"]

_MIB = 1 << 20
_SHOWN = 3
# Layers whose precision may be set; others hold indices, shapes or constants.
_COMPUTE = (
    *("ACTIVATION", "CONVOLUTION", "ELEMENTWISE", "MATRIX_MULTIPLY", "NORMALIZATION"),
    *("POOLING", "REDUCE", "SCALE", "SOFTMAX", "UNARY"),
)


@dataclass(frozen=True)
class BuildOptions:
    """Options of a build."""

    batch: BatchRange = field(default_factory=BatchRange)
    workspace_mib: int = 0
    """Limit of scratch memory in MiB; 0 for the library's default, all memory of the GPU."""
    dla: int = -1
    """DLA core to build for, with the GPU as fallback; -1 for only the GPU."""
    version_compatible: bool = False
    """Whether later versions of TensorRT can load the engine."""
    tf32: bool = False
    """Whether float32 is multiplied with 10 bits of mantissa: faster, with differences of about 1e-3."""


@dataclass(frozen=True)
class Built:
    """A finished engine."""

    engine: bytes
    profile: dict[str, Shapes]
    timing_cache: bytes
    """Measurements for the next build; empty if the library has no timing cache."""
    seconds: float


def build(
    library: Library,
    onnx: Path,
    options: BuildOptions | None = None,
    *,
    timing_cache: bytes = b"",
    say: Callable[[str], None] = lambda text: None,
) -> Built:
    """Build an engine.

    TensorRT 8.6 crashes without a GPU, so the caller must have checked for one. A timing cache of another GPU or
    version is ignored; ``say`` is called with the progress.

    Raises:
        BundleError: the file is missing, damaged or not supported; the message names nodes and layers.
        ConfigError: the library or GPU does not support an option.
        ExportError: the builder failed.
    """
    options = options or BuildOptions()
    start = time.perf_counter()
    trt = library.module
    try:
        content = onnx.read_bytes()
    except OSError as error:
        raise BundleError(f"{onnx} cannot be read: {error.strerror or error}. Name an exported ONNX file.") from error
    builder = trt.Builder(library.logger)
    # Without this reference the network would be freed and the process would crash during the build.
    network, by_flags = _network(library, builder, options)
    say("reading the ONNX file")
    _parse(library, network, content, onnx)
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    shapes = {}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shapes[tensor.name] = options.batch.shapes(tensor.name, tuple(tensor.shape))
        profile.set_shape(tensor.name, shapes[tensor.name].min, shapes[tensor.name].opt, shapes[tensor.name].max)
    config.add_optimization_profile(profile)
    if options.workspace_mib:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * _MIB)
    if library.has("BuilderFlag.TF32") and not options.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default; it would round float32
    if options.version_compatible:
        if library.name != "tensorrt" or not library.has("BuilderFlag.VERSION_COMPATIBLE"):
            raise ConfigError(
                f"--version-compatible: {library.name} {library.version} cannot build such engines. Build one engine "
                "per version."
            )
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if by_flags:
        _set_precision(library, network, config)
    if options.dla >= 0:
        _use_dla(library, builder, config, options.dla)
    cache = _timing_cache(config, timing_cache)
    watcher = monitor(trt, say)
    if watcher is not None and hasattr(config, "progress_monitor"):
        config.progress_monitor = watcher
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportError(
            f"{library.name} {library.version} could not build an engine from {onnx}: "
            f"{explain_error(library.errors())}. More --workspace, a smaller --batch or another --precision may help."
        )
    measured = bytes(memoryview(cache.serialize())) if cache is not None else b""
    return Built(bytes(memoryview(plan)), shapes, measured, time.perf_counter() - start)


def _network(library: Library, builder: Any, options: BuildOptions) -> tuple[Any, bool]:
    """Return an empty network, and whether flags set its precision instead of the file."""
    flags: Any = getattr(library.module, "NetworkDefinitionCreationFlag", None)
    has_flags = library.has("BuilderFlag.FP16")
    if hasattr(flags, "STRONGLY_TYPED") and not (options.dla >= 0 and has_flags):
        return builder.create_network(1 << int(flags.STRONGLY_TYPED)), False
    explicit = 1 << int(flags.EXPLICIT_BATCH) if hasattr(flags, "EXPLICIT_BATCH") else 0
    return builder.create_network(explicit), has_flags


def _parse(library: Library, network: Any, content: bytes, onnx: Path) -> None:
    parser = library.module.OnnxParser(network, library.logger)
    if parser.parse(content):
        return
    problems: dict[str, list[str]] = {}
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        # 8.6 returns only the node's number; its log has the name.
        name, kind, why = _call(error, "node_name"), _call(error, "node_operator"), _call(error, "desc").strip()
        if not name:
            problems.setdefault(explain_error(why), [])
            continue
        # The parser's descriptions of an unknown operator.
        unknown = why in ("", "false") or "Plugin not found" in why
        what = f"{kind} is not supported" if unknown else f"{kind}: {why}"
        problems.setdefault(what, []).append(explain_error(f"node {name}", (name,)))
    messages = [f"{what}{_listing(nodes)}" for what, nodes in problems.items()]
    if not any("Keras layer" in text for text in messages):
        messages.append(explain_error(library.errors()))
    raise BundleError(
        f"{library.name} {library.version} cannot read {onnx}: {'; '.join(dict.fromkeys(messages))}. "
        "python -m export.tensorrt_lint FILE shows what each version supports; int8-dynamic files need ONNX Runtime."
    )


def _listing(nodes: list[str]) -> str:
    more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    return f", {', '.join(nodes[:_SHOWN])}{more}" if nodes else ""


def _call(error: Any, name: str) -> str:
    try:
        return str(getattr(error, name)() or "") if hasattr(error, name) else ""
    except UnicodeDecodeError:  # a damaged file's names
        return "(not readable)"


def _set_precision(library: Library, network: Any, config: Any) -> None:
    """Set the flags that the file needs, and keep its float32 layers in float32."""
    trt = library.module
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    kinds = {layer.type for layer in layers}
    types = {layer.get_output(i).dtype for layer in layers for i in range(layer.num_outputs)}
    if trt.LayerType.QUANTIZE in kinds or trt.LayerType.DEQUANTIZE in kinds:
        config.set_flag(trt.BuilderFlag.INT8)
    if trt.DataType.HALF not in types:
        return
    config.set_flag(trt.BuilderFlag.FP16)
    if not library.has("BuilderFlag.PREFER_PRECISION_CONSTRAINTS"):
        return
    config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
    compute = {getattr(trt.LayerType, name) for name in _COMPUTE if hasattr(trt.LayerType, name)}
    for layer in (layer for layer in layers if layer.type in compute):
        outputs = range(layer.num_outputs)
        if all(layer.get_output(index).dtype == trt.DataType.FLOAT for index in outputs):
            layer.precision = trt.DataType.FLOAT
            for index in outputs:
                layer.set_output_type(index, trt.DataType.FLOAT)


def _use_dla(library: Library, builder: Any, config: Any, core: int) -> None:
    trt = library.module
    cores = int(getattr(builder, "num_DLA_cores", 0)) if library.has("DeviceType.DLA") else 0
    if core >= cores:
        raise ConfigError(
            f"--dla {core}: {library.name} {library.version} has {cores} DLA cores here. Omit --dla to use the GPU."
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _timing_cache(config: Any, content: bytes) -> Any:
    """Give the builder the measurements of earlier builds, and return the cache that it fills."""
    if not hasattr(config, "create_timing_cache"):
        return None
    for known in (content, b"") if content else (b"",):
        cache = config.create_timing_cache(known)
        # A cache of another GPU or version is refused here; an empty one is always accepted.
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    return None
