"""Passes of the model over the samples, whole or with modalities removed or shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.evaluation.samples import Samples
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs
from mmkeras.tasks._evidence import joined

__all__ = ["Variant", "derangement", "predict", "predict_evidence", "prediction_function"]

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
    rows: np.ndarray | None = None,
    keep: Callable[[np.ndarray, Outputs], Mapping[str, np.ndarray]] = lambda rows, outputs: outputs,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, np.ndarray]:
    """Run the model over samples.

    Every batch has the same size (the last one is filled up and cut), so that the model is traced once.

    Args:
        model: Keras model with dict inputs and dict outputs, or a callable on numpy arrays.
        samples: the inputs.
        specs: modality specs by name; they say what a removed modality looks like.
        batch_size: samples in a pass.
        variant: what is removed or shuffled; nothing when not given.
        rows: positions of the samples to run on; all when not given.
        keep: positions and outputs of a batch -> what is kept of it, (B, ...) by name; the outputs when not given.
        progress: wraps the batch starts, to show a bar.

    Returns:
        Outputs float32 (N, ...) by name, or what is kept of them.

    Raises:
        DataError: an output is NaN or infinite.
    """
    variant = variant or Variant()
    function = prediction_function(model)
    size = min(batch_size, len(samples))
    wanted = np.arange(len(samples)) if rows is None else rows
    shuffle = derangement(len(samples), variant.seed) if variant.shuffled else np.arange(len(samples))
    kept: list[Mapping[str, np.ndarray]] = []
    bad: dict[str, list[int]] = {}
    for start in progress(range(0, len(wanted), size)):
        filled = wanted[np.arange(start, start + size) % len(wanted)]
        found = function(_inputs(samples, specs, variant, filled, shuffle))
        batch = wanted[start : start + size]
        outputs = {name: np.asarray(value)[: len(batch)] for name, value in found.items()}
        for name, value in outputs.items():
            finite = np.isfinite(value).reshape(len(batch), -1).all(axis=1)
            bad.setdefault(name, []).extend(batch[~finite].tolist())
        kept.append(keep(batch, outputs))
    for name, broken in bad.items():
        if broken:
            raise DataError(
                f"Expected finite outputs, got NaN or infinity in {name!r} of {len(broken)} of "
                f"{len(wanted)} samples (the first is {samples.key(broken[0])!r}). The model has diverged, or an input "
                "holds NaN: look at the training loss."
            )
    return joined(kept)


def predict_evidence(
    model: Any, samples: Samples, specs: Mapping[str, ModalitySpec], task: TaskSpec, **options: Any
) -> dict[str, np.ndarray]:
    """Return the task's evidence of a model; outputs are dropped batch by batch. See `predict`."""

    def keep(rows: np.ndarray, outputs: Outputs) -> dict[str, np.ndarray]:
        return task.evidence(samples.targets[rows], outputs)

    return predict(model, samples, specs, keep=keep, **options)


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
