"""A CUDA driver and a TensorRT runtime that keep to their contracts in plain memory: no GPU can be had everywhere.

It shows that memory is taken once and given back, what is copied when, and what is recorded and replayed. That kernels
compute what they should is shown on a GPU (``needs_gpu``).
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

VALUES, RESULT = "values", "result"
MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3) - 5


class Driver:
    """The functions of libcuda that are used; work on a stream is done at once, or recorded."""

    def __init__(self, *, recordable: bool = True) -> None:
        self.calls: Counter[str] = Counter()
        self.blocks: dict[int, Any] = {}
        self.recording: list[Callable[[], object]] | None = None
        self.graphs: dict[int, list[Callable[[], object]]] = {}
        self.recordable = recordable

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("cu"):
            raise AttributeError(name)
        return lambda *arguments: self._call(name, *arguments)

    def work(self, task: Callable[[], object]) -> None:
        if self.recording is None:
            task()
        else:
            self.recording.append(task)

    def _call(self, name: str, *given: Any) -> int:
        self.calls[name] += 1
        if name in ("cuMemAlloc_v2", "cuMemHostAlloc"):
            block = ctypes.create_string_buffer(given[1].value)
            given[0]._obj.value = ctypes.addressof(block)
            self.blocks[ctypes.addressof(block)] = block
        elif name == "cuMemHostGetDevicePointer_v2":
            given[0]._obj.value = given[1].value
        elif name in ("cuMemFree_v2", "cuMemFreeHost"):
            del self.blocks[given[0].value]
        elif name in ("cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2"):
            target, source, size = given[0].value, given[1].value, given[2].value
            self.work(lambda: ctypes.memmove(target, source, size))
        elif name in ("cuStreamCreate", "cuDevicePrimaryCtxRetain"):
            given[0]._obj.value = 7
        elif name == "cuStreamBeginCapture_v2":
            self.recording = []
        elif name == "cuStreamEndCapture":
            given[1]._obj.value = len(self.graphs) + 1
            self.graphs[len(self.graphs) + 1] = self.recording or []
            self.recording = None
            return 0 if self.recordable else 901
        elif name == "cuGraphInstantiateWithFlags":
            given[0]._obj.value = given[1].value
        elif name == "cuGraphLaunch":
            for task in self.graphs[given[0].value]:
                task()
        elif name == "cuGetErrorString":
            given[1]._obj.value = b"not permitted"
        return 0


class Logger:
    Severity = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0, WARNING=2)

    def __init__(self) -> None: ...


def runtime(driver: Driver, largest: int) -> Any:
    """Return a module with the runtime of TensorRT, whose engine multiplies by a matrix."""
    mode = SimpleNamespace(INPUT="in", OUTPUT="out")

    class Context:
        def __init__(self) -> None:
            self.addresses: dict[str, int] = {}
            self.rows = 0

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            self.rows = shape[0]
            return name == VALUES and shape[1:] == (4,) and shape[0] <= largest

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (self.rows, {VALUES: 4, RESULT: 3}[name])

        def set_tensor_address(self, name: str, address: int) -> None:
            self.addresses[name] = address

        def execute_async_v3(self, stream: int) -> bool:
            rows = self.rows

            def multiply() -> None:
                self.view(RESULT, (rows, 3))[:] = self.view(VALUES, (rows, 4)) @ MATRIX

            driver.work(multiply)
            return stream == 7

        def view(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
            size = int(np.prod(shape))
            memory = (ctypes.c_float * size).from_address(self.addresses[name])
            return np.ctypeslib.as_array(memory).reshape(shape)

    class Engine:
        num_io_tensors = 2

        def get_tensor_name(self, index: int) -> str:
            return (VALUES, RESULT)[index]

        def get_tensor_mode(self, name: str) -> str:
            return mode.INPUT if name == VALUES else mode.OUTPUT

        def get_tensor_dtype(self, name: str) -> str:
            return "DataType.FLOAT"

        def create_execution_context(self) -> Context:
            return Context()

    class Runtime:
        def __init__(self, logger: Any) -> None: ...

        def deserialize_cuda_engine(self, content: bytes) -> Engine | None:
            return Engine() if content == b"engine" else None

    return SimpleNamespace(__version__="10.3.0", ILogger=Logger, Runtime=Runtime, TensorIOMode=mode)
