"""Writes files as torch.save did before version 1.6, without PyTorch."""

from __future__ import annotations

import collections
import io
import pickle
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

__all__ = ["write_torch_file"]

_SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
_NAMES = {"float32": "FloatStorage", "int64": "LongStorage"}


def _rebuild_tensor_v2(*_: Any) -> None:
    """The function that such files name."""


_rebuild_tensor_v2.__module__ = "torch._utils"


class _Tensor:
    def __init__(self, key: str, values: np.ndarray, elements: int, shape: tuple[int, ...]) -> None:
        self.key, self.values, self.elements, self.shape = key, values, elements, shape

    def __reduce__(self) -> Any:
        strides = tuple(stride // self.values.itemsize for stride in self.values.strides)
        return _rebuild_tensor_v2, (self, 0, self.shape, strides, False, collections.OrderedDict())


class _Storage:
    def __init__(self, tensor: _Tensor) -> None:
        self.tensor = tensor


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, _Tensor):
            function, (_, *rest) = value.__reduce__()
            return function, (_Storage(value), *rest)
        return NotImplemented

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, _Storage):
            return None
        kind = getattr(sys.modules["torch"], _NAMES[str(value.tensor.values.dtype)])
        return "storage", kind, value.tensor.key, "cpu", value.tensor.elements, None


def write_torch_file(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    *,
    elements: int | None = None,
    shape: tuple[int, ...] | None = None,
    more: Any = None,
) -> Path:
    """Write tensors; ``elements`` and ``shape`` plant wrong sizes, ``more`` is any further object beside them."""
    torch: Any = types.ModuleType("torch")
    for name in _NAMES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    utilities: Any = types.ModuleType("torch._utils")
    utilities._rebuild_tensor_v2 = _rebuild_tensor_v2
    stream = io.BytesIO()
    named: dict[str, Any] = {
        name: _Tensor(
            str(number),
            value,
            value.size if elements is None else elements,
            shape if shape and value.ndim == len(shape) else value.shape,
        )
        for number, (name, value) in enumerate(tensors.items())
    }
    if more is not None:
        named["more"] = more
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utilities}):
        for value in (0x1950A86A20F9469CFC6C, 1001, _SYSTEM):
            pickle.dump(value, stream, protocol=2)
        _Pickler(stream, protocol=2).dump(collections.OrderedDict(named))
        pickle.dump([str(number) for number in range(len(tensors))], stream, protocol=2)
    for array in tensors.values():
        stream.write(array.size.to_bytes(8, "little") + np.ravel(array, order="K").tobytes())
    path.write_bytes(stream.getvalue())
    return path
