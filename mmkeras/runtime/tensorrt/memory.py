"""Memory and streams of an engine: the GPU's context, a stream, and buffers on host and GPU. ctypes and numpy.

Every call raises `CudaError` where the driver refuses it. Source: CUDA Driver API reference: Primary Context, Memory
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
    """The primary context of a GPU: the one that the CUDA runtime in TensorRT uses, too."""

    def __init__(self, gpu: Gpu) -> None:
        """Retain the context and make it current."""
        self.gpu = gpu
        self._device = ctypes.c_int()
        self._handle = ctypes.c_void_p()
        call("cuDeviceGet", ctypes.byref(self._device), gpu.index)
        call("cuDevicePrimaryCtxRetain", ctypes.byref(self._handle), self._device)
        self.use()

    def use(self) -> None:
        """Make it current in this thread."""
        call("cuCtxSetCurrent", self._handle)

    def close(self) -> None:
        """Let go of it."""
        if self._handle:
            call("cuDevicePrimaryCtxRelease_v2", self._device)
            self._handle = ctypes.c_void_p()


class Stream:
    """A stream of its own, so that nothing waits for what others do on the GPU."""

    def __init__(self) -> None:
        """Create the stream in the current context."""
        self._handle = ctypes.c_void_p()
        call("cuStreamCreate", ctypes.byref(self._handle), 1)  # not blocking on the default stream

    @property
    def handle(self) -> int:
        """What TensorRT takes as a stream."""
        return int(self._handle.value or 0)

    def wait(self) -> None:
        """Wait until everything on the stream is done."""
        call("cuStreamSynchronize", self._handle)

    @contextlib.contextmanager
    def capture(self) -> Iterator[list[Graph]]:
        """Record what is put on the stream instead of running it; the list then holds the graph."""
        result: list[Graph] = []
        call("cuStreamBeginCapture_v2", self._handle, _THREAD_LOCAL)
        graph = ctypes.c_void_p()
        try:
            yield result
        except BaseException:
            # The stream stays unusable until a recording is ended, even a failed one.
            with contextlib.suppress(CudaError):
                call("cuStreamEndCapture", self._handle, ctypes.byref(graph))
            raise
        call("cuStreamEndCapture", self._handle, ctypes.byref(graph))
        try:
            result.append(Graph(graph))
        finally:
            call("cuGraphDestroy", graph)

    def launch(self, graph: Graph) -> None:
        """Replay a graph."""
        call("cuGraphLaunch", graph.handle, self._handle)

    def close(self) -> None:
        """Give it back."""
        if self._handle:
            call("cuStreamDestroy_v2", self._handle)
            self._handle = ctypes.c_void_p()


class Graph:
    """A recorded sequence of copies and kernels that is launched by one call."""

    def __init__(self, graph: ctypes.c_void_p) -> None:
        """Instantiate a recording."""
        self.handle = ctypes.c_void_p()
        call("cuGraphInstantiateWithFlags", ctypes.byref(self.handle), graph, ctypes.c_ulonglong(0))

    def close(self) -> None:
        """Give it back."""
        if self.handle:
            call("cuGraphExecDestroy", self.handle)
            self.handle = ctypes.c_void_p()


class Buffer:
    """Memory for one tensor, allocated once: pinned on the host, and on the GPU where that has memory of its own."""

    def __init__(self, shape: tuple[int, ...], dtype: str, gpu: Gpu) -> None:
        """Allocate memory of the largest shape (B, ...) in the current context; shared where the GPU is integrated."""
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
        """The host's side (B, ...)."""
        if np.prod(shape, dtype=np.int64) > 0:
            self.array = self.array.reshape(shape)

    @property
    def address(self) -> int:
        """The GPU's side."""
        return int(self._device.value or 0)

    def upload(self, rows: int, stream: Stream) -> None:
        """Put the copy of the first rows to the GPU on a stream; nothing to do where both share the memory."""
        if not self.shared:
            size = ctypes.c_size_t(rows * self._row)
            call("cuMemcpyHtoDAsync_v2", self._device, self._host, size, ctypes.c_void_p(stream.handle))

    def download(self, rows: int, stream: Stream) -> None:
        """Put the copy of the first rows to the host on a stream; nothing to do where both share the memory."""
        if not self.shared:
            size = ctypes.c_size_t(rows * self._row)
            call("cuMemcpyDtoHAsync_v2", self._host, self._device, size, ctypes.c_void_p(stream.handle))

    def close(self) -> None:
        """Free it."""
        self.array = np.empty(0, np.uint8)
        if self._device and not self.shared:
            call("cuMemFree_v2", self._device)
        if self._host:
            call("cuMemFreeHost", self._host)
        self._host, self._device = ctypes.c_void_p(), ctypes.c_void_p()
