"""Passes of the model over the samples, with modalities removed or shuffled if wanted."""

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

__all__ = ["INPUT_BYTES", "Variant", "derangement", "input_bytes", "predict", "predict_evidence"]

INPUT_BYTES = 2**24
"""Largest inputs of one pass: the features inside a network of pictures take many times their memory."""


@dataclass(frozen=True)
class Variant:
    """The changes to the inputs in one pass."""

    absent: frozenset[str] = frozenset()
    """Modalities that are removed: neutral tensors and presence 0."""
    shuffled: frozenset[str] = frozenset()
    """Modalities whose values and presence come from another sample."""
    seed: int = 0
    """Seed of the shuffle."""


def input_bytes(specs: Iterable[ModalitySpec]) -> int:
    """Return the bytes of the tensors of one sample."""
    return sum(tensor.zeros().nbytes for spec in specs for tensor in spec.tensors)


def derangement(size: int, seed: int) -> np.ndarray:
    """Return a random permutation (size,) without a fixed point: a random cycle through all positions."""
    order = np.random.default_rng(seed).permutation(size)
    result = np.empty(size, np.int64)
    result[order] = np.roll(order, -1)
    return result


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

    Every batch has the same size (the last one is padded, and its outputs are cut), so that the model is traced once.

    Args:
        model: Keras model with dict inputs and dict outputs, or a callable on numpy arrays.
        samples: the inputs.
        specs: modality specs by name, which have the neutral tensors of a removed modality.
        batch_size: samples in a batch, fewer where their inputs are larger than `INPUT_BYTES`.
        variant: the modalities to remove or shuffle.
        rows: positions of the samples to run on; all by default.
        keep: positions and outputs of a batch -> arrays (B, ...) by name to return; the outputs by default.
        progress: wraps the batch starts, to show a bar.

    Returns:
        Outputs float32 (N, ...) by name, or the results of ``keep``.

    Raises:
        DataError: an output is NaN or infinite.
    """
    variant = variant or Variant()
    if hasattr(model, "compiled") and not model.compiled:
        # A loaded model that was never compiled would take jit_compile="auto", which is slow XLA on a CPU.
        model.jit_compile = False
    function = getattr(model, "predict_on_batch", model)
    size = min(batch_size, len(samples), max(1, INPUT_BYTES // max(1, input_bytes(specs.values()))))
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
    """Return the task's evidence of a model, see `predict`; the outputs of a batch are not kept."""

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
    batch: dict[str, np.ndarray] = {}
    for name, spec in specs.items():
        picks = shuffle[positions] if name in variant.shuffled else positions
        if name in variant.absent:
            neutral = spec.inputs(None)
            batch |= {key: np.repeat(value[None], len(positions), axis=0) for key, value in neutral.items()}
            continue
        for tensor in (*spec.tensors, spec.present):
            batch[tensor.name] = samples.inputs[tensor.name][picks]
    return batch
