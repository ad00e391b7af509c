"""A split divided among replicas, so that each sample is evaluated exactly once for any number of replicas."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from mmkeras.core.errors import DataError
from mmkeras.data.features import check_specs, decode, decode_targets, parse, ready, to_elements
from mmkeras.data.index import Index
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

__all__ = ["bounds", "shared_dataset"]


def bounds(samples: int, batch_size: int, replicas: int) -> np.ndarray:
    """Return the bounds of the parts of a split, int64 (steps, replicas + 1).

    In step t replica r gets the samples from ``[t, r]`` up to ``[t, r + 1]``. Parts differ by one sample at most and
    none is empty: a replica with an empty batch would divide by zero in its mean loss. ``batch_size`` is a guide for
    the samples of all replicas in a step.

    Raises:
        DataError: fewer samples than replicas.
    """
    if samples < replicas:
        raise DataError(
            f"The validation split has {samples} samples, fewer than the {replicas} replicas that share it. Use fewer "
            "workers or devices, or more validation data (data.validation_share)."
        )
    steps = max(1, min(-(-samples // batch_size), samples // replicas))
    cells = steps * replicas
    edges = np.arange(cells + 1, dtype=np.int64) * samples // cells
    return np.stack([edges[t * replicas : (t + 1) * replicas + 1] for t in range(steps)])


def shared_dataset(
    index: Index,
    split: str,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    *,
    batch_size: int,
    replicas: int,
    first: int = 0,
    count: int | None = None,
) -> tf.data.Dataset:
    """Return the parts of some replicas of a split, once; decoded only in the first pass.

    ``batch_size`` guides the number of samples of all replicas in a step. ``replicas`` are those of the whole cluster,
    ``first`` and ``count`` the replicas of this worker, by default all.

    Returns:
        Batches as from `mmkeras.data.dataset.eval_dataset`, those of a step's replicas one after the other.

    Raises:
        DataError: no samples in the split, fewer than replicas, or specs that do not fit the data.
    """
    check_specs(index, specs, task)
    edges = bounds(index.split(split).samples, batch_size, replicas)
    last = first + (replicas if count is None else count)
    starts, stops = edges[:, first:last].ravel(), edges[:, first + 1 : last + 1].ravel()
    mine = np.zeros(index.split(split).samples, bool)
    for start, stop in zip(starts, stops, strict=True):
        mine[start:stop] = True
    records = tf.data.TFRecordDataset(index.files(split))
    # The raw records of this worker's samples stay in memory; the cache below holds their decoded form too.
    with tf.device("CPU:0"):
        kept = tf.constant([raw for raw, wanted in zip(records.as_numpy_iterator(), mine, strict=True) if wanted])
    place = np.cumsum(mine) - mine

    @tf.autograph.experimental.do_not_convert
    def read(start: tf.Tensor, length: tf.Tensor) -> tuple:
        batch = parse(specs, task, kept[start : start + length])
        return to_elements(decode(specs, batch), task, decode_targets(task, batch), batch.weight, None)

    dataset = tf.data.Dataset.from_tensor_slices((place[starts], stops - starts))
    return ready(dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).cache())
