"""Batches for training and evaluation.

The training stream is endless. Its batch number k depends on the seed and on k alone: a stream that starts at step k
gives exactly the batches k, k + 1, ... of one that began at 0. Each of several workers gives its part of every batch,
augmented as in the whole batch. It reads from one of three caches:

- ``memory``: decoded once into arrays; a batch is a gather from them.
- ``disk``: the same arrays in files beside the shards, and the same batches.
- ``none``: read and decoded in every pass, with a shuffle buffer; the same samples in other batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import tensorflow as tf

from mmkeras.core.errors import DataError
from mmkeras.data.arrays import NO_FROZEN, load_arrays
from mmkeras.data.features import check_specs, decode, decode_targets, parse, ready, to_elements
from mmkeras.data.frozen import FrozenPart
from mmkeras.data.index import Index
from mmkeras.data.seeds import derive
from mmkeras.data.streams import Position, from_arrays, from_shards, in_order
from mmkeras.data.transforms import augment as augment_samples
from mmkeras.data.transforms import drop_modalities
from mmkeras.layers.draws import part_of_batch
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._moves import check_moves

__all__ = ["eval_dataset", "train_dataset"]

Cache = Literal["memory", "disk", "none"]

AUGMENT, DROP = 1, 2  # purposes of random numbers: each has a seed of its own


def train_dataset(
    index: Index,
    specs: Mapping[str, ModalitySpec],
    configs: Mapping[str, Any],
    task_spec: TaskSpec,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    augment: bool = True,
    modality_dropout: float = 0.1,
    modality_dropout_start: int = 0,
    cache: Cache = "memory",
    shuffle_buffer: int = 8192,
    num_shards: int = 1,
    shard: int = 0,
    frozen: Mapping[str, FrozenPart] = NO_FROZEN,
) -> tf.data.Dataset:
    """Return the endless training stream.

    Args:
        index: the converted data.
        specs: modality specs by name.
        configs: modality configurations by name, with the augmentation.
        task_spec: gives outputs and targets.
        batch_size: samples in a batch of this worker.
        seed: of order, augmentation and modality dropout.
        start_step: batches to skip.
        augment: whether to augment.
        modality_dropout: chance that a modality is dropped from a sample; never all of them.
        modality_dropout_start: first step with modality dropout.
        cache: ``memory``, ``disk`` or ``none``.
        shuffle_buffer: records that are shuffled together without a cache.
        num_shards: workers; each gives its part of the same batches of ``num_shards * batch_size`` samples.
        shard: number of this worker.
        frozen: parts of branches by modality, whose outputs replace its tensors; not without a cache.

    Returns:
        Batches ``(inputs, {output: target}, weight)`` of static shapes: inputs by tensor name with presences float32
        (B,), targets (B, ...) and weights float32 (B,). A batch may contain samples of two passes.

    Raises:
        DataError: no training samples, or specs that do not fit the data.
        ConfigError: an augmentation that some inputs or targets cannot follow.
    """
    check_specs(index, specs, task_spec)
    if augment:
        check_moves(specs, configs, task_spec, task_spec.kind)
    if not 0 <= shard < num_shards:
        raise DataError(f"Expected a shard from 0 to {num_shards - 1}, got {shard}")
    at = Position(batch_size, seed, start_step, num_shards, shard)
    if cache == "none":
        stream = from_shards(index, specs, task_spec, at, shuffle_buffer)
    else:
        arrays = load_arrays(index, "train", specs, task_spec, on_disk=cache == "disk", frozen=frozen)
        stream = from_arrays(arrays, specs, at)

    @tf.autograph.experimental.do_not_convert
    def finish(step: tf.Tensor, batch: Any) -> Any:
        inputs, targets, weight = batch
        with part_of_batch(shard * batch_size):
            if augment:
                inputs, targets = augment_samples(
                    inputs, targets, specs, configs, task_spec, derive(seed, step, 0, AUGMENT)
                )
            rate = tf.where(step >= modality_dropout_start, modality_dropout, 0.0)
            inputs = drop_modalities(inputs, specs, rate, derive(seed, step, 0, DROP))
        return to_elements(inputs, task_spec, targets, weight, batch_size)

    steps = tf.data.Dataset.counter(start_step)
    return ready(tf.data.Dataset.zip(steps, stream).map(finish, num_parallel_calls=tf.data.AUTOTUNE))


def eval_dataset(
    index: Index,
    split: str,
    specs: Mapping[str, ModalitySpec],
    task_spec: TaskSpec,
    *,
    batch_size: int,
    cache: Literal["memory", "none"] = "none",
    frozen: Mapping[str, FrozenPart] = NO_FROZEN,
) -> tf.data.Dataset:
    """Return a split once, in the order of `read_samples`; the last batch may be smaller.

    ``cache="memory"`` keeps the decoded batches for the next pass, as needed for validation after every epoch.
    ``frozen`` is as in `train_dataset`.

    Returns:
        Batches as from `train_dataset`, without augmentation and dropout.

    Raises:
        DataError: no samples in the split, or specs that do not fit the data.
    """
    check_specs(index, specs, task_spec)
    if frozen:
        samples = in_order(load_arrays(index, split, specs, task_spec, frozen=frozen), specs, batch_size)
        return ready(samples.map(lambda inputs, targets, weight: to_elements(inputs, task_spec, targets, weight, None)))

    @tf.autograph.experimental.do_not_convert
    def read(serialised: tf.Tensor) -> Any:
        batch = parse(specs, task_spec, serialised)
        return to_elements(decode(specs, batch), task_spec, decode_targets(task_spec, batch), batch.weight, None)

    dataset = tf.data.TFRecordDataset(index.files(split)).batch(batch_size)
    dataset = dataset.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(-(-index.samples(split) // batch_size)))
    return ready(dataset.cache() if cache == "memory" else dataset)
