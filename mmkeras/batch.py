"""A batch that may be spread over several devices: means over it and rows of it; backend-neutral."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from keras import ops

__all__ = ["Replicas", "batch_mean", "batch_places", "batch_rows", "spread_over"]


class Replicas(Protocol):
    """The devices that share a batch, as one of them sees them. Each holds the same number of samples."""

    def mean(self, values: Any) -> Any:
        """Return the mean of values over all devices."""

    def rows(self, values: Any) -> Any:
        """Return the values (B, ...) of all devices as (devices * B, ...), with gradients to each of them."""

    def first(self, count: int) -> Any:
        """Return the row at which the ``count`` samples of this device begin among those of all."""


_replicas: list[Replicas] = []


def batch_mean(values: Any) -> Any:
    """Return the mean of a value per sample (B,) over the whole batch, of which this device may see a part.

    A loss that divides by something counted in the batch needs it: the mean over a part differs from device to device.
    """
    return _replicas[-1].mean(values) if _replicas else ops.mean(values)


def batch_rows(values: Any) -> Any:
    """Return values (B, ...) of this device's samples and those of all other devices, in the order of the whole batch.

    Gradients reach the values of every device.
    """
    return _replicas[-1].rows(values) if _replicas else values


def batch_places(values: Any) -> Any:
    """Return the rows, int32 (B,), at which `batch_rows` has the values (B, ...) of this device's own samples."""
    count = ops.shape(values)[0]
    first = _replicas[-1].first(count) if _replicas else 0
    return ops.arange(0, count, dtype="int32") + first


@contextmanager
def spread_over(replicas: Replicas) -> Iterator[None]:
    """Let these functions inside ask the other devices. It counts for every thread."""
    _replicas.append(replicas)
    try:
        yield
    finally:
        _replicas.remove(replicas)
