"""Passes of the model over the samples, whole or with modalities removed or shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.evaluation.samples import Samples
from mmkeras.modalities import ModalitySpec

__all__ = ["Variant", "derangement", "predict", "prediction_function"]

PredictFunction = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Variant:
    """What is done to the inputs of one pass."""

    absent: frozenset[str] = frozenset()
    """Modalities that are removed: neutral tensors, presence 0."""
    shuffled: frozenset[str] = frozenset()
    """Modalities whose values (and presence) come from another sample."""
    seed: int = 0
    """Seed of the shuffle."""


def derangement(size: int, seed: int) -> np.ndarray:
    """Return a random permutation (size,) without a fixed point: a random cycle through all positions.

    One position alone cannot be deranged and stays.
    """
    order = np.random.default_rng(seed).permutation(size)
    result = np.empty(size, np.int64)
    result[order] = np.roll(order, -1)
    return result


def prediction_function(model: Any) -> PredictFunction:
    """Return what runs one batch: a Keras model's compiled prediction, or the callable itself."""
    if not hasattr(model, "predict_on_batch"):
        function: PredictFunction = model
        return function
    if not model.compiled:
        # A loaded model that was never compiled would take jit_compile="auto", which is slow XLA on a CPU.
        model.jit_compile = False
    predict_on_batch: PredictFunction = model.predict_on_batch
    return predict_on_batch


def predict(
    model: Any,
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    *,
    batch_size: int,
    variant: Variant | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, np.ndarray]:
    """Run the model over all samples.

    Every batch has the same size (the last one is filled up and cut), so that the model is traced once.

    Args:
        model: Keras model with dict inputs and dict outputs, or a callable on numpy arrays.
        samples: the inputs.
        specs: modality specs by name; they say what a removed modality looks like.
        batch_size: samples in a pass.
        variant: what is removed or shuffled; nothing when not given.
        progress: wraps the batch starts, to show a bar.

    Returns:
        Outputs float32 (N, ...) by name.

    Raises:
        DataError: an output is NaN or infinite.
    """
    variant = variant or Variant()
    function = prediction_function(model)
    size = min(batch_size, len(samples))
    shuffle = derangement(len(samples), variant.seed) if variant.shuffled else np.arange(len(samples))
    collected: dict[str, list[np.ndarray]] = {}
    for start in progress(range(0, len(samples), size)):
        positions = np.arange(start, start + size) % len(samples)
        outputs = function(_inputs(samples, specs, variant, positions, shuffle))
        for name, value in outputs.items():
            collected.setdefault(name, []).append(np.asarray(value)[: len(samples) - start])
    stacked = {name: np.concatenate(parts) for name, parts in collected.items()}
    for name, value in stacked.items():
        bad = np.logical_not(np.isfinite(value).reshape(len(value), -1).all(axis=1)).reshape(-1)
        if bad.any():
            first = samples.key(int(bad.argmax()))
            raise DataError(
                f"Expected finite outputs, got NaN or infinity in {name!r} of {int(bad.sum())} of "
                f"{len(bad)} samples "
                f"(the first is {first!r}). The model has diverged, or an input holds NaN: look at the "
                f"training loss."
            )
    return stacked


def _inputs(
    samples: Samples,
    specs: Mapping[str, ModalitySpec],
    variant: Variant,
    positions: np.ndarray,
    shuffle: np.ndarray,
) -> dict[str, np.ndarray]:
    batch = {}
    for name, spec in specs.items():
        picks = shuffle[positions] if name in variant.shuffled else positions
        if name in variant.absent:
            neutral = {**spec.absent(), spec.present.name: np.float32(0)}
            for tensor_name, neutral_value in neutral.items():
                value = np.asarray(neutral_value)
                batch[tensor_name] = np.ascontiguousarray(np.broadcast_to(value, (len(positions), *value.shape)))
            continue
        for tensor in (*spec.tensors, spec.present):
            batch[tensor.name] = samples.inputs[tensor.name][picks]
    return batch
