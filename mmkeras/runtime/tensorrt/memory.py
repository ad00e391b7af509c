"""The GPU's context, streams, graphs and buffers of an engine, through ctypes.

Every method raises `CudaError` if the driver's call fails. Source: CUDA Driver API reference, Primary Context, Memory
Management, Stream Management, Graph Management.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

import numpy as np

from mmkeras.runtime.tensorrt.cuda import CudaError, Gpu, call

__all__ = ["Buffer", "Context", "Graph", "Stream"]

_PORTABLE, _MAPPED = 1, 2
_THREAD_LOCAL = 1


class Context:
    """The primary context of a GPU, which the CUDA runtime in TensorRT also uses."""

    def __init__(self, gpu: Gpu) -> None:
        """Retain the context and make it current."""
        self.gpu = gpu
        self._device = ctypes.c_int()
        self._handle = ctypes.c_void_p()
        call("cuDeviceGet", ctypes.byref(self._device), gpu.index)
        call("cuDevicePrimaryCtxRetain", ctypes.byref(self._handle), self._device)
        self.use()

    def use(self) -> None:
        """Make the context current in this thread."""
        call("cuCtxSetCurrent", self._handle)

    def close(self) -> None:
        """Release the context."""
        if self._handle:
            call("cuDevicePrimaryCtxRelease_v2", self._device)
            self._handle = ctypes.c_void_p()


class Stream:
    """A separate stream, which does not wait for other work on the GPU."""

    def __init__(self) -> None:
        """Create the stream in the current context."""
        self._handle = ctypes.c_void_p()
        call("cuStreamCreate", ctypes.byref(self._handle), 1)  # not blocking on the default stream

    @property
    def handle(self) -> int:
        """The stream as a number, for TensorRT."""
        return int(self._handle.value or 0)

    def wait(self) -> None:
        """Wait until all work on the stream is done."""
        call("cuStreamSynchronize", self._handle)

    @contextlib.contextmanager
    def capture(self) -> Iterator[list[Graph]]:
        """Record work on the stream instead of running it; afterwards the list holds the graph."""
        result: list[Graph] = []
        call("cuStreamBeginCapture_v2", self._handle, _THREAD_LOCAL)
        graph = ctypes.c_void_p()
        try:
            yield result
        except BaseException:
            # The stream is unusable until the recording ends, even a failed one.
            with contextlib.suppress(CudaError):
                call("cuStreamEndCapture", self._handle, ctypes.byref(graph))
            raise
        call("cuStreamEndCapture", self._handle, ctypes.byref(graph))
        try:
            result.append(Graph(graph))
        finally:
            call("cuGraphDestroy", graph)

    def launch(self, graph: Graph) -> None:
        """Run a graph."""
        call("cuGraphLaunch", graph.handle, self._handle)

    def close(self) -> None:
        """Destroy the stream."""
        if self._handle:
            call("cuStreamDestroy_v2", self._handle)
            self._handle = ctypes.c_void_p()


class Graph:
    """A recorded sequence of copies and kernels, launched with one call."""

    def __init__(self, graph: ctypes.c_void_p) -> None:
        """Instantiate a recording."""
        self.handle = ctypes.c_void_p()
        call("cuGraphInstantiateWithFlags", ctypes.byref(self.handle), graph, ctypes.c_ulonglong(0))

    def close(self) -> None:
        """Destroy the graph."""
        if self.handle:
            call("cuGraphExecDestroy", self.handle)
            self.handle = ctypes.c_void_p()


class Buffer:
    """Memory for one tensor: pinned on the host, and on the GPU unless it shares the host's memory."""

    def __init__(self, shape: tuple[int, ...], dtype: str, gpu: Gpu) -> None:
        """Allocate memory of the largest shape (B, ...) in the current context."""
        self.bytes = max(1, int(np.prod(shape, dtype=np.int64))) * np.dtype(dtype).itemsize
        self._row = self.bytes // max(1, shape[0] if shape else 1)
        self.shared = gpu.integrated
        self._host, self._device = ctypes.c_void_p(), ctypes.c_void_p()
        size = ctypes.c_size_t(self.bytes)
        call("cuMemHostAlloc", ctypes.byref(self._host), size, _PORTABLE | (_MAPPED if self.shared else 0))
        try:
            if self.shared:
                call("cuMemHostGetDevicePointer_v2", ctypes.byref(self._device), self._host, 0)
            else:
                call("cuMemAlloc_v2", ctypes.byref(self._device), size)
        except CudaError:
            self.close()
            raise
        memory = (ctypes.c_uint8 * self.bytes).from_address(int(self._host.value or 0))
        self.array: np.ndarray = np.ctypeslib.as_array(memory).view(dtype)
        """The memory on the host (B, ...)."""
        if np.prod(shape, dtype=np.int64) > 0:
            self.array = self.array.reshape(shape)

    @property
    def address(self) -> int:
        """Address of the memory on the GPU."""
        return int(self._device.value or 0)

    def upload(self, rows: int, stream: Stream) -> None:
        """Enqueue a copy of the first rows to the GPU; shared memory needs none."""
        self._copy("cuMemcpyHtoDAsync_v2", self._device, self._host, rows, stream)

    def download(self, rows: int, stream: Stream) -> None:
        """Enqueue a copy of the first rows to the host; shared memory needs none."""
        self._copy("cuMemcpyDtoHAsync_v2", self._host, self._device, rows, stream)

    def _copy(self, function: str, target: ctypes.c_void_p, source: ctypes.c_void_p, rows: int, stream: Stream) -> None:
        if not self.shared:
            call(function, target, source, ctypes.c_size_t(rows * self._row), ctypes.c_void_p(stream.handle))

    def close(self) -> None:
        """Free the memory."""
        self.array = np.empty(0, np.uint8)
        if self._device and not self.shared:
            call("cuMemFree_v2", self._device)
        if self._host:
            call("cuMemFreeHost", self._host)
        self._host, self._device = ctypes.c_void_p(), ctypes.c_void_p()
