"""What a head gives to training: Keras losses of single samples, or one function that sees everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

from mmkeras.batch import batch_places, batch_rows

__all__ = ["LossContext", "LossHook", "Losses"]


@dataclass(frozen=True)
class LossContext:
    """What a loss may know besides outputs, targets and inputs."""

    weights: Any
    """Sample weights, float (B,). The last batch of a validation on several devices is filled up with samples of
    weight 0, which must not count as negatives."""
    class_counts: Mapping[str, int] = field(default_factory=dict)
    """Training samples by label."""
    training: bool = True
    """Whether it is a training step; extra outputs such as ``<output>_alone`` are there in training alone."""

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
tensor () for the batch as a whole, the same on all replicas. Only a part (B,) can name the samples of a bad batch."""

Losses = Mapping[str, keras.losses.Loss] | LossHook
"""What ``losses(spec, config, class_counts)`` of a head returns: a Keras loss of single samples for each output, which
also scores the extra output ``<output>_alone``, or a `LossHook`."""
