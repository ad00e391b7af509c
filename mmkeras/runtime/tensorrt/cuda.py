"""The CUDA driver through ctypes: lists the GPUs before TensorRT is loaded. No package is needed.

TensorRT 8.6 ends the process with a segmentation fault where there is no GPU.

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


class CudaError(RuntimeError):
    """A call of the CUDA driver failed; the message names the call and the driver's reason."""


@dataclass(frozen=True)
class Gpu:
    """One GPU that the driver shows."""

    index: int
    """Its number among those that ``CUDA_VISIBLE_DEVICES`` shows."""
    name: str
    """For example ``NVIDIA Orin``."""
    compute_capability: str
    """For example ``8.7``."""
    memory_bytes: int
    """Total memory; shared with the host where it is integrated."""
    integrated: bool
    """Whether it shares the host's memory, as on a Jetson: then nothing is copied."""


@functools.cache
def driver() -> Any:
    """Return the driver's library, or ``None`` where there is none."""
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
        raise CudaError(f"{function}: there is no CUDA driver here ({' or '.join(_NAMES)}).")
    try:
        entry = getattr(library, function)
    except AttributeError as error:
        raise CudaError(f"The CUDA driver has no {function}: it is too old. Install a newer driver.") from error
    status = entry(*arguments)
    if status:
        raise CudaError(f"{function} failed: {_reason(status)}")


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs of this machine, none where there is no driver; never raises."""
    return _look()[0]


def why_no_gpu() -> str:
    """Return why there is no GPU, empty where there is one."""
    return _look()[1]


@functools.cache
def _look() -> tuple[tuple[Gpu, ...], str]:
    if driver() is None:
        return (), f"the CUDA driver is not installed ({_NAMES[0]} cannot be loaded)"
    status = driver().cuInit(0)
    if status == _NO_DEVICE:
        return (), "the CUDA driver shows no GPU (is CUDA_VISIBLE_DEVICES empty?)"
    if status:
        return (), f"the CUDA driver does not start: {_reason(status)}"
    try:
        count = ctypes.c_int()
        call("cuDeviceGetCount", ctypes.byref(count))
        found = tuple(_gpu(index) for index in range(count.value))
    except CudaError as error:
        return (), str(error)
    return found, "" if found else "the CUDA driver shows no GPU (is CUDA_VISIBLE_DEVICES empty?)"


def _gpu(index: int) -> Gpu:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name = ctypes.create_string_buffer(256)
    call("cuDeviceGet", ctypes.byref(device), index)
    call("cuDeviceGetName", name, len(name), device)
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    capability = f"{_attribute(_MAJOR, device)}.{_attribute(_MINOR, device)}"
    return Gpu(
        index, name.value.decode(errors="replace"), capability, memory.value, bool(_attribute(_INTEGRATED, device))
    )


def _attribute(which: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    call("cuDeviceGetAttribute", ctypes.byref(value), which, device)
    return value.value


def _reason(status: int) -> str:
    text = ctypes.c_char_p()
    if driver().cuGetErrorString(status, ctypes.byref(text)) == 0 and text.value:
        return f"{text.value.decode(errors='replace')} (CUDA error {status})"
    return f"CUDA error {status}"
