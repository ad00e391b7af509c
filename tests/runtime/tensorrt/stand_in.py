"""The parts of TensorRT 8.6, 10 and 11 that the builder touches, recorded.

None of the three can be had without NVIDIA's own index and a GPU. What tensorrt-rtx does is tested with tensorrt-rtx.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

_enum: Any = IntEnum


class Log:
    Severity = _enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE", start=0)

    def __init__(self) -> None: ...


class Tensor:
    def __init__(self, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype


class Layer:
    def __init__(self, kind: Any, dtype: Any) -> None:
        self.type, self.num_outputs, self.precision = kind, 1, None
        self._output = Tensor("out", (1,), dtype)
        self.output_types: list[Any] = []

    def get_output(self, index: int) -> Tensor:
        return self._output

    def set_output_type(self, index: int, dtype: Any) -> None:
        self.output_types.append(dtype)


def stand_in(version: str, *, half: bool = True, quantised: bool = False, cores: int = 0) -> Any:
    """Return a module with the names that a version has; ``trt.calls`` records what was asked of it."""
    major = int(version.split(".")[0])
    flags = "GPU_FALLBACK VERSION_COMPATIBLE TF32"
    if major < 11:
        flags += " FP16 INT8 PREFER_PRECISION_CONSTRAINTS OBEY_PRECISION_CONSTRAINTS"
    creation = {8: "EXPLICIT_BATCH", 10: "EXPLICIT_BATCH STRONGLY_TYPED", 11: ""}[major]
    data = _enum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8", start=0)
    kinds = _enum("LayerType", "CONVOLUTION SHUFFLE QUANTIZE DEQUANTIZE CONSTANT", start=0)
    calls: dict[str, Any] = {"flags": set(), "cleared": set(), "profile": {}, "cache": []}
    dtype = data.HALF if half else data.FLOAT
    layers = [Layer(kinds.CONVOLUTION, dtype), Layer(kinds.CONVOLUTION, data.FLOAT), Layer(kinds.SHUFFLE, data.FLOAT)]
    if quantised:
        layers.append(Layer(kinds.QUANTIZE, data.INT8))

    class Network:
        num_inputs, num_layers = 1, len(layers)

        def get_input(self, index: int) -> Tensor:
            return Tensor("values", (-1, 4), data.FLOAT)

        def get_layer(self, index: int) -> Layer:
            return layers[index]

    class Cache:
        def serialize(self) -> bytes:
            return b"measured"

    class Config:
        default_device_type = DLA_core = None

        def set_flag(self, flag: Any) -> None:
            calls["flags"].add(flag.name)

        def clear_flag(self, flag: Any) -> None:
            calls["cleared"].add(flag.name)

        def set_memory_pool_limit(self, pool: Any, size: int) -> None:
            calls["workspace"] = size

        def add_optimization_profile(self, profile: Any) -> None: ...

        def create_timing_cache(self, content: bytes) -> Cache:
            calls["cache"].append(content)
            return Cache()

        def set_timing_cache(self, cache: Cache, ignore: bool) -> bool:
            return calls["cache"][-1] != b"of another GPU"

    class Profile:
        def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
            calls["profile"][name] = shapes

    class Builder:
        num_DLA_cores = cores  # noqa: N815

        def __init__(self, logger: Any) -> None: ...

        def create_network(self, given: int) -> Network:
            calls["network"] = given
            return Network()

        def create_builder_config(self) -> Config:
            calls["config"] = Config()
            return calls["config"]

        def create_optimization_profile(self) -> Profile:
            return Profile()

        def build_serialized_network(self, network: Network, config: Config) -> bytes:
            return b"engine"

    class Parser:
        num_errors = 0

        def __init__(self, network: Network, logger: Any) -> None: ...

        def parse(self, content: bytes) -> bool:
            return True

    names: dict[str, Any] = {
        "__version__": version,
        "ILogger": Log,
        "Builder": Builder,
        "OnnxParser": Parser,
        "BuilderFlag": _enum("BuilderFlag", flags, start=0),
        "MemoryPoolType": _enum("MemoryPoolType", "WORKSPACE", start=0),
        "DeviceType": _enum("DeviceType", "GPU DLA", start=0),
        "LayerType": kinds,
        "DataType": data,
        "calls": calls,
        "layers": layers,
    }
    if creation:
        names["NetworkDefinitionCreationFlag"] = _enum("NetworkDefinitionCreationFlag", creation, start=0)
    return type("StandIn", (), names)
