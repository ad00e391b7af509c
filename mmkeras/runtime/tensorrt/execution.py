"""Runs an engine on one stream with memory allocated once, as a CUDA graph if the shapes are static."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import BundleError
from mmkeras.modalities import TensorSpec
from mmkeras.runtime.tensorrt.cuda import CudaError, Gpu
from mmkeras.runtime.tensorrt.library import Library
from mmkeras.runtime.tensorrt.memory import Buffer, Context, Graph, Stream
from mmkeras.runtime.tensorrt.sidecar import BuiltFor

__all__ = ["Execution", "dtype_of"]

_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}


def dtype_of(kind: Any) -> str:
    """Return the numpy name of a TensorRT type.

    Raises:
        BundleError: a type without a numpy type.
    """
    name = str(getattr(kind, "name", kind)).rpartition(".")[2]
    if name not in _DTYPES:
        raise BundleError(f"Expected an engine with inputs and outputs of {', '.join(_DTYPES)}, got {name}.")
    return _DTYPES[name]


class Execution:
    """An engine that is loaded on the GPU."""

    def __init__(self, library: Library, engine: Path, built: BuiltFor, gpu: Gpu) -> None:
        """Load an engine whose sidecar has been checked, and allocate all its memory.

        Raises:
            BundleError: TensorRT cannot load it, or its inputs are not those in the sidecar.
            CudaError: the driver failed, or there is not enough memory.
        """
        self._library, self._built = library, built
        self._buffers: dict[str, Buffer] = {}
        self._graph: Graph | None = None
        self._stream: Any = None
        self._context: Any = None
        self._capture = all(shapes.min == shapes.max for shapes in built.profile.values())
        self._rows = 0
        self._device = Context(gpu)
        try:
            self._load(engine, gpu)
        except BaseException:
            self.close()
            raise

    def _load(self, path: Path, gpu: Gpu) -> None:
        trt, built = self._library.module, self._built
        self._runtime = trt.Runtime(self._library.logger)
        if built.version_compatible and hasattr(self._runtime, "engine_host_code_allowed"):
            # Such an engine contains host code that runs here: whoever can write engines can run programs.
            self._runtime.engine_host_code_allowed = True
        if built.dla >= 0:
            self._runtime.DLA_core = built.dla
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise BundleError(f"{self._library.name} cannot load {path}: {self._library.errors()}.")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BundleError(f"{path} does not fit into the memory of the GPU: {self._library.errors()}.")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        given = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        if set(given) != set(built.profile):
            raise BundleError(
                f"{path}: expected the inputs {sorted(built.profile)} of its sidecar, got {sorted(given)}."
            )
        self.inputs = tuple(
            TensorSpec(name, built.profile[name].max[1:], dtype_of(self._engine.get_tensor_dtype(name)))
            for name in given
        )
        """Inputs without the batch dimension."""
        self.outputs = tuple(name for name in names if name not in given)
        self.smallest = max(shapes.min[0] for shapes in built.profile.values())
        self.largest = min(shapes.max[0] for shapes in built.profile.values())
        self._stream = Stream()
        self._shape(self.largest)
        for name in names:
            shape = built.profile[name].max if name in given else tuple(self._context.get_tensor_shape(name))
            if any(size < 0 for size in shape):
                raise BundleError(f"{path}: output {name} has a shape that depends on the data: {shape}. Export again.")
            buffer = Buffer(tuple(int(size) for size in shape), dtype_of(self._engine.get_tensor_dtype(name)), gpu)
            self._buffers[name] = buffer
            self._context.set_tensor_address(name, buffer.address)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one batch (B, ...) by input name, padded below ``smallest``; return copies (B, ...) by output name.

        Raises:
            CudaError: the driver or the engine failed.
        """
        self._device.use()
        samples = len(next(iter(inputs.values())))
        rows = max(samples, self.smallest)
        for tensor in self.inputs:
            buffer = self._buffers[tensor.name].array
            np.copyto(buffer[:samples], inputs[tensor.name])
            buffer[samples:rows] = inputs[tensor.name][-1:]
        if rows != self._rows:
            self._shape(rows)
        if self._graph is not None:
            self._stream.launch(self._graph)
        else:
            self._enqueue(rows)
        self._stream.wait()
        if self._capture and self._graph is None:
            # Not before the first run, in which TensorRT allocates and initialises: a graph must not contain that.
            self._graph = self._record(rows)
        return {name: self._buffers[name].array[:samples].copy() for name in self.outputs}

    def close(self) -> None:
        """Release all memory and the engine; may be called twice."""
        with contextlib.suppress(CudaError):
            self._device.use()
        for part in (self._graph, *self._buffers.values(), self._stream):
            if part is not None:
                with contextlib.suppress(CudaError):
                    part.close()
        self._graph, self._stream, self._buffers = None, None, {}
        # In this order, since each one uses the next.
        self._context = self._engine = self._runtime = None
        with contextlib.suppress(CudaError):
            self._device.close()

    def _shape(self, rows: int) -> None:
        self._rows = rows
        for tensor in self.inputs:
            if not self._context.set_input_shape(tensor.name, (rows, *tensor.shape)):
                raise BundleError(f"The engine does not support a batch of {rows}: {self._library.errors()}.")

    def _enqueue(self, rows: int) -> None:
        for tensor in self.inputs:
            self._buffers[tensor.name].upload(rows, self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise CudaError(f"The engine failed: {self._library.errors()}")
        for name in self.outputs:
            self._buffers[name].download(rows, self._stream)

    def _record(self, rows: int) -> Graph | None:
        """Record one inference with its copies; None if the engine cannot be recorded."""
        self._capture = False
        try:
            with self._stream.capture() as recorded:
                self._enqueue(rows)
        except CudaError:
            return None
        graph: Graph = recorded[0]
        return graph
