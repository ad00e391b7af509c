"""Losses over a batch whose samples may be spread over several devices; backend-neutral."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras
from keras import ops

__all__ = ["LossContext", "LossHook", "Losses", "Replicas", "batch_mean", "spread_over"]


class Replicas(Protocol):
    """The devices that share a batch, used by one of them. Each holds the same number of samples."""

    def mean(self, values: Any) -> Any:
        """Return the mean of values over all devices."""

    def rows(self, values: Any) -> Any:
        """Return the values (B, ...) of all devices as (devices * B, ...), with gradients to each device."""

    def first(self, count: int) -> Any:
        """Return the first row of this device's ``count`` samples among the samples of all devices."""


_replicas: list[Replicas] = []


def batch_mean(values: Any) -> Any:
    """Return the mean of values (B,) over the whole batch, of which this device may hold only a part.

    A loss that divides by a count in the batch needs it, because means over parts differ between devices.
    """
    return _replicas[-1].mean(values) if _replicas else ops.mean(values)


@contextmanager
def spread_over(replicas: Replicas) -> Iterator[None]:
    """Compute means, and the methods of `LossContext`, over these devices. Affects all threads."""
    _replicas.append(replicas)
    try:
        yield
    finally:
        _replicas.remove(replicas)


# === Losses ===


@dataclass(frozen=True)
class LossContext:
    """Arguments of a loss besides outputs, targets and inputs."""

    weights: Any
    """Sample weights, float (B,). With several devices, the last validation batch is padded with samples of weight 0,
    which must not count as negatives."""
    class_counts: Mapping[str, int] = field(default_factory=dict)
    """Training samples by label."""
    training: bool = True
    """Whether it is a training step; extra outputs such as ``<output>_alone`` exist only in training."""

    def gather(self, values: Any) -> Any:
        """Return the values (B, ...) of all replicas and workers as (all samples, ...), with gradients.

        The order is that of the whole batch. With accumulated gradients it is one batch, not one update.
        """
        return _replicas[-1].rows(values) if _replicas else values

    def places(self, values: Any) -> Any:
        """Return the rows, int32 (B,), of this replica's values (B, ...) in the result of `gather`."""
        count = ops.shape(values)[0]
        first = _replicas[-1].first(count) if _replicas else 0
        return ops.arange(0, count, dtype="int32") + first


LossHook = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any], LossContext], Mapping[str, Any]]
"""``losses(outputs, targets, inputs, context)`` returns the parts of the loss by name; the loss is their sum.

A part is a tensor (B,) with the loss of each of this replica's samples, which is weighted and averaged over the whole
batch, or a tensor () for the whole batch, equal on all replicas. If a loss is not finite, the parts (B,) show the bad
samples, or else the loss without each of them."""

Losses = Mapping[str, keras.losses.Loss] | LossHook
"""Result of a head's ``losses(spec, config, class_counts)``: a `LossHook`, or for each output a Keras loss of single
samples, which is also the loss of the extra output ``<output>_alone``."""
