"""The CUDA driver through ctypes; it lists the GPUs before TensorRT is loaded, since TensorRT 8.6 crashes without one.

Source: CUDA Driver API reference, the modules Initialization, Device Management and Error Handling.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["CudaError", "Gpu", "call", "driver", "gpus", "why_no_gpu"]

_NAMES = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so")
_MAJOR, _MINOR, _INTEGRATED = 75, 76, 18
_NO_DEVICE = 100
_NONE_SHOWN = "the CUDA driver shows no GPU (is CUDA_VISIBLE_DEVICES empty?)"


class CudaError(RuntimeError):
    """A call of the CUDA driver failed; the message names the call and the reason."""


@dataclass(frozen=True)
class Gpu:
    """One GPU that the driver shows."""

    index: int
    """Its number among those in ``CUDA_VISIBLE_DEVICES``."""
    name: str
    """For example ``NVIDIA Orin``."""
    compute_capability: str
    """For example ``8.7``."""
    memory_bytes: int
    """Total memory."""
    integrated: bool
    """Whether it shares the host's memory, as on a Jetson; data is then not copied."""


@functools.cache
def driver() -> Any:
    """Return the driver's library, or ``None`` without a driver."""
    for name in _NAMES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def call(function: str, *arguments: Any) -> None:
    """Call a function of the driver.

    Raises:
        CudaError: there is no driver, it lacks the function, or the function failed.
    """
    library = driver()
    if library is None:
        raise CudaError(f"{function}: the CUDA driver is not installed ({' or '.join(_NAMES)}).")
    try:
        entry = getattr(library, function)
    except AttributeError as error:
        raise CudaError(f"The CUDA driver has no {function}: it is too old. Install a newer driver.") from error
    status = entry(*arguments)
    if status:
        raise CudaError(f"{function} failed: {_reason(status)}")


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs of this machine; empty without a driver. Never raises."""
    return _look()[0]


def why_no_gpu() -> str:
    """Return why there is no GPU; empty if there is one."""
    return _look()[1]


@functools.cache
def _look() -> tuple[tuple[Gpu, ...], str]:
    if driver() is None:
        return (), f"the CUDA driver is not installed ({_NAMES[0]} cannot be loaded)"
    status = driver().cuInit(0)
    if status == _NO_DEVICE:
        return (), _NONE_SHOWN
    if status:
        return (), f"the CUDA driver does not start: {_reason(status)}"
    try:
        count = ctypes.c_int()
        call("cuDeviceGetCount", ctypes.byref(count))
        found = tuple(_gpu(index) for index in range(count.value))
    except CudaError as error:
        return (), str(error)
    return found, "" if found else _NONE_SHOWN


def _gpu(index: int) -> Gpu:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    call("cuDeviceGet", ctypes.byref(device), index)
    call("cuDeviceGetName", name, len(name), device)
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    major, minor, integrated = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    for value, which in ((major, _MAJOR), (minor, _MINOR), (integrated, _INTEGRATED)):
        call("cuDeviceGetAttribute", ctypes.byref(value), which, device)
    capability = f"{major.value}.{minor.value}"
    return Gpu(index, name.value.decode(errors="replace"), capability, memory.value, bool(integrated.value))


def _reason(status: int) -> str:
    text = ctypes.c_char_p()
    if driver().cuGetErrorString(status, ctypes.byref(text)) == 0 and text.value:
        return f"{text.value.decode(errors='replace')} (CUDA error {status})"
    return f"CUDA error {status}"
