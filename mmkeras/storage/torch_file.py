"""Reads the tensors of an untrusted PyTorch file without PyTorch and without running code from it. numpy only.

The file is of the older format, which ``torch.save`` wrote before version 1.6: five pickles (magic number, protocol,
system, object, keys of the storages), then every storage as its number of elements (int64) and its values. The pickles
may name only the few classes that a dictionary of tensors needs; anything else is refused before it is called.

Source: ``_legacy_load`` in https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
"""

from __future__ import annotations

import collections
import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError

__all__ = ["read_torch_file"]

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors by name.

    Raises:
        FileNotFoundError: no such file.
        DataError: the file is of another format, damaged, names a class that is not needed for tensors, or holds
            anything but tensors by name.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        raise
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # pickle raises nearly anything on damaged data
        raise DataError(f"{path}: is not a whole PyTorch file ({type(error).__name__}: {error!s:.200})") from error


@dataclass(frozen=True)
class _Storage:
    """A storage that a tensor refers to; its values follow the pickles."""

    key: str
    dtype: np.dtype
    elements: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StorageClass:
    """Stands for a storage class of PyTorch; calling it is an error."""

    def __init__(self, name: str) -> None:
        self.dtype = np.dtype(_DTYPES[name])


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    """Take the place of ``torch._utils._rebuild_tensor_v2``."""
    if not isinstance(storage, _Storage):
        raise DataError(f"a tensor refers to {type(storage).__name__}, not to a storage")
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in numbers):
        raise DataError(f"a tensor has the shape {shape!s:.60} and the strides {strides!s:.60}")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Builds dictionaries, numbers, texts and `_Tensor`, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        }
        if (module, name) in allowed:
            return allowed[module, name]
        if module == "torch" and name in _DTYPES:
            return _StorageClass(name)
        raise DataError(
            f"names {module}.{name}"[:120] + ", which tensors do not need and which could run code. It is not loaded"
        )

    def persistent_load(self, described: Any) -> _Storage:
        kind, storage, key, _, elements, view = described
        if kind != "storage" or not isinstance(storage, _StorageClass) or view is not None:
            raise DataError(f"refers to {described!r:.80}, expected a storage")
        if type(elements) is not int or elements < 0 or not isinstance(key, str):
            raise DataError(f"a storage has the key {key!r:.40} and {elements!r:.40} elements")
        return _Storage(key, storage.dtype, elements)


def _read(path: Path) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    if content[:2] == b"PK":
        raise DataError("is of the newer (zip) format of torch.save. Expected the older one, of a file ending in .pth")
    stream = io.BytesIO(content)
    magic, protocol, system = (_Unpickler(stream).load() for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL:
        raise DataError(f"does not begin as a PyTorch file (magic number {magic!r:.40})")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise DataError("was written on a machine of another byte order")
    named = _Unpickler(stream).load()
    if not isinstance(named, dict) or not all(isinstance(n, str) and isinstance(t, _Tensor) for n, t in named.items()):
        raise DataError("expected tensors by name, got other objects")
    storages = {tensor.storage.key: tensor.storage for tensor in named.values()}
    values: dict[str, np.ndarray] = {}
    for key in _Unpickler(stream).load():
        if key not in storages:
            raise DataError(f"holds a storage {key!r:.40} that no tensor refers to")
        values[key] = _values(stream, storages[key], len(content))
    if missing := storages.keys() - values.keys():
        raise DataError(f"lacks {len(missing)} of {len(storages)} storages")
    if stream.tell() != len(content):
        raise DataError(f"has {len(content) - stream.tell()} bytes behind the last storage")
    return {name: _view(tensor, values[tensor.storage.key], name) for name, tensor in named.items()}


def _values(stream: io.BytesIO, storage: _Storage, size: int) -> np.ndarray:
    elements = int.from_bytes(stream.read(8), "little", signed=True)
    length = storage.elements * storage.dtype.itemsize
    if elements != storage.elements or stream.tell() + length > size:
        raise DataError(f"a storage of {storage.elements} elements is cut off, or has {elements} elements")
    return np.frombuffer(stream.read(length), storage.dtype)


def _view(tensor: _Tensor, values: np.ndarray, name: str) -> np.ndarray:
    """Return a copy of a tensor, whose dimensions may lie in any order in its storage."""
    steps = sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True))
    elements = math.prod(tensor.shape)
    if elements > len(values) or (elements and tensor.offset + steps >= len(values)):
        raise DataError(f"the tensor {name[:80]!r} of shape {tensor.shape} is larger than its storage")
    strides = tuple(stride * values.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False).copy()
