"""A batch that may be spread over several devices, and what the losses of a head see of it; backend-neutral."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras
from keras import ops

__all__ = [
    "LossContext",
    "LossHook",
    "Losses",
    "Replicas",
    "batch_mean",
    "batch_places",
    "batch_rows",
    "spread_over",
]


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
    """Return the mean of a value per sample (B,) over the whole batch, of which this device may hold a part.

    A loss that divides by a count in the batch needs it: the mean over a part differs from device to device.
    """
    return _replicas[-1].mean(values) if _replicas else ops.mean(values)


def batch_rows(values: Any) -> Any:
    """Return values (B, ...) of the samples of all devices, in the order of the whole batch, with gradients."""
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


# === Losses ===


@dataclass(frozen=True)
class LossContext:
    """What a loss may know besides outputs, targets and inputs."""

    weights: Any
    """Sample weights, float (B,). The last batch of a validation on several devices is padded with samples of weight 0,
    which must not count as negatives."""
    class_counts: Mapping[str, int] = field(default_factory=dict)
    """Training samples by label."""
    training: bool = True
    """Whether it is a training step; extra outputs such as ``<output>_alone`` exist in training alone."""

    def gather(self, values: Any) -> Any:
        """Return values (B, ...) of the samples on all replicas and workers, (all samples, ...), with gradients.

        With accumulated gradients these are the samples of one batch, not of one update.
        """
        return batch_rows(values)

    def places(self, values: Any) -> Any:
        """Return the rows, int32 (B,), at which `gather` has the values (B, ...) of this replica's own samples."""
        return batch_places(values)


LossHook = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any], LossContext], Mapping[str, Any]]
"""``losses(outputs, targets, inputs, context)`` returns the parts of the loss by name, which are added up.

A part is a tensor (B,) with a loss of each of this replica's samples, weighted and averaged over the whole batch, or a
tensor () for the batch as a whole, the same on all replicas. The samples of a bad batch are named by their parts (B,),
or else by what the loss is without each of them."""

Losses = Mapping[str, keras.losses.Loss] | LossHook
"""What ``losses(spec, config, class_counts)`` of a head returns: a Keras loss of single samples for each output, which
also scores the extra output ``<output>_alone``, or a `LossHook`."""
