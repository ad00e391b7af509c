"""Means over a batch that may be spread over several devices; backend-neutral."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from keras import ops

__all__ = ["batch_mean", "spread_over"]

_mean: list[Callable[[Any], Any]] = []


def batch_mean(values: Any) -> Any:
    """Return the mean of a value per sample (B,) over the whole batch, of which this device may see a part.

    A loss that divides by something counted in the batch needs it: the mean over a part differs from device to device.
    """
    return _mean[-1](values) if _mean else ops.mean(values)


@contextmanager
def spread_over(mean: Callable[[Any], Any]) -> Iterator[None]:
    """Let `batch_mean` inside ask a function that knows the other devices. It counts for every thread."""
    _mean.append(mean)
    try:
        yield
    finally:
        _mean.remove(mean)
