"""Runs a model or an exported file on many samples, in batches and in blocks of limited memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from mmkeras.evaluation.predict import INPUT_BYTES, input_bytes
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import joined

__all__ = ["BATCH", "Infer", "as_numpy", "block_size", "blocks", "keras_infer", "run_batches"]

Infer = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Runs a batch: arrays (B, ...) by input name -> arrays (B, ...) by output name."""

BATCH = 64
"""Samples in one forward pass, fewer where their inputs or outputs are large."""
_BLOCK_BYTES = 8 * 2**20


def block_size(task: TaskSpec, specs: Iterable[ModalitySpec]) -> int:
    """Return the number of samples in a block, so that its inputs and outputs stay small."""
    size = sum(int(np.prod(output.shape, dtype=np.int64)) * np.dtype(output.dtype).itemsize for output in task.outputs)
    return int(np.clip(min(_BLOCK_BYTES // max(size, 1), INPUT_BYTES // max(input_bytes(specs), 1)), 1, BATCH))


def keras_infer(model: Any) -> Infer:
    """Return the Keras model as a function of numpy arrays, without the XLA compilation of `predict`."""
    import tensorflow as tf

    forward = tf.function(lambda inputs: model(inputs, training=False), reduce_retracing=True, jit_compile=False)

    def infer(inputs: dict[str, Any]) -> Mapping[str, Any]:
        return as_numpy(forward({name: tf.constant(value) for name, value in inputs.items()}))

    return infer


def run_batches(infer: Infer, inputs: Mapping[str, Any], size: int = BATCH) -> dict[str, np.ndarray]:
    """Run N samples in batches, of which the last may be smaller, and join the outputs."""
    count = len(next(iter(inputs.values())))
    parts = [
        {name: np.asarray(value) for name, value in infer({k: v[at : at + size] for k, v in inputs.items()}).items()}
        for at in range(0, count, size)
    ]
    return joined(parts)


def blocks(
    infer: Infer, inputs: Mapping[str, Any], size: int, block: int
) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
    """Yield the rows of each block and its outputs; a block has whole batches and at most ``block`` rows."""
    size = min(size, block)
    step = block // size * size
    count = len(next(iter(inputs.values())))
    for start in range(0, count, step):
        rows = slice(start, min(start + step, count))
        yield rows, run_batches(infer, {name: value[rows] for name, value in inputs.items()}, size)


def as_numpy(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return TensorFlow tensors as arrays."""
    return {name: value.numpy() for name, value in tensors.items()}
