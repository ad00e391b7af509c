"""Endless batches of shuffled passes: gathered from arrays, or read from the shards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from mmkeras.core.config import DataConfig
from mmkeras.data.arrays import Arrays
from mmkeras.data.features import decode, decode_targets, parse
from mmkeras.data.index import Index
from mmkeras.data.seeds import derive, shuffled_positions
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec

__all__ = ["Position", "batch_keys", "from_arrays", "from_shards", "in_order", "shuffled_records"]

SHARDS_AT_ONCE = 4


@dataclass(frozen=True)
class Position:
    """A worker's place in a stream."""

    batch_size: int
    """Samples in a batch of this worker."""
    seed: int
    """Of the order."""
    start_step: int = 0
    """Batches to skip."""
    num_shards: int = 1
    """Workers."""
    shard: int = 0
    """Number of this worker."""


def from_arrays(arrays: Arrays, specs: Mapping[str, ModalitySpec], at: Position) -> tf.data.Dataset:
    """Return batches (inputs, targets by name, weight) gathered from arrays.

    All workers use the same order and take their part of every global batch.
    """
    global_batch = at.batch_size * at.num_shards
    gather = _gatherer(arrays, specs)

    @tf.autograph.experimental.do_not_convert
    def mine(positions: tf.Tensor) -> Any:
        return gather(positions[at.shard * at.batch_size : (at.shard + 1) * at.batch_size])

    positions = shuffled_positions(len(arrays.weights), at.seed, at.start_step * global_batch)
    batches = positions.batch(global_batch, drop_remainder=True)
    return batches.map(mine, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def in_order(arrays: Arrays, specs: Mapping[str, ModalitySpec], batch_size: int) -> tf.data.Dataset:
    """Return one pass over arrays in batches (inputs, targets by name, weight); the last batch may be smaller."""
    gather = tf.autograph.experimental.do_not_convert(_gatherer(arrays, specs))
    batches = tf.data.Dataset.range(len(arrays.weights)).batch(batch_size)
    return batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _gatherer(arrays: Arrays, specs: Mapping[str, ModalitySpec]) -> Callable[[tf.Tensor], Any]:
    """Return a function from positions (B,) to the samples there."""
    take = {name: _taker(table) for name, table in arrays.tables.items()}
    rows = {name: _taker(value) for name, value in arrays.rows.items()}
    present = {name: _taker(arrays.present(name)) for name in specs}
    targets = {name: _taker(value) for name, value in arrays.targets.items()}
    weights = _taker(arrays.weights)

    def gather(chosen: tf.Tensor) -> Any:
        inputs = {}
        for name, spec in specs.items():
            row = rows[name](chosen)
            inputs.update({tensor: take[tensor](row) for tensor in arrays.inputs[name]})
            inputs[spec.present.name] = present[name](chosen)
        return inputs, {name: target(chosen) for name, target in targets.items()}, weights(chosen)

    return gather


def _taker(array: np.ndarray) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function that gathers rows of an array in memory or in a file."""
    if isinstance(array, np.memmap):
        mapped = array

        def read(rows: tf.Tensor) -> tf.Tensor:
            value = tf.numpy_function(lambda r: mapped[r], [rows], mapped.dtype, stateful=False)
            return tf.ensure_shape(value, (rows.shape[0], *mapped.shape[1:]))

        return read
    with tf.device("CPU:0"):
        table = tf.constant(array)
    return lambda rows: tf.gather(table, rows)


def from_shards(
    index: Index, specs: Mapping[str, ModalitySpec], task: TaskSpec, at: Position, shuffle_buffer: int
) -> tf.data.Dataset:
    """Return batches (inputs, targets by name, weight) read from the shards.

    Records are shuffled in blocks of the buffer's size: a tf.data shuffle would also depend on the global seed. Records
    skipped at the start are read within their pass, but not decoded. Every worker reads all records, so that the
    batches are the same for any number of workers, and decodes only its part of each batch: decoding takes most of the
    time.
    """

    @tf.autograph.experimental.do_not_convert
    def read(serialised: tf.Tensor) -> Any:
        batch = parse(specs, task, serialised[at.shard * at.batch_size : (at.shard + 1) * at.batch_size])
        return decode(specs, batch), decode_targets(task, batch), batch.weight

    batches = shuffled_records(index, at, shuffle_buffer)
    return batches.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def shuffled_records(index: Index, at: Position, shuffle_buffer: int) -> tf.data.Dataset:
    """Read the serialised records, string (B,), of whole batches of all workers."""
    files = tf.constant(index.files("train"))
    samples = index.split("train").samples
    global_batch = at.batch_size * at.num_shards

    @tf.autograph.experimental.do_not_convert
    def one_pass(number: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(files, derive(at.seed, 0, number))
        records = tf.data.Dataset.from_tensor_slices(order).interleave(
            tf.data.TFRecordDataset,
            cycle_length=SHARDS_AT_ONCE,
            block_length=16,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        blocks = records.batch(shuffle_buffer).enumerate()

        def shuffled(block: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
            return tf.random.experimental.stateless_shuffle(values, derive(at.seed, 1, number, block, 0))

        return blocks.map(shuffled).unbatch()

    first = at.start_step * global_batch
    records = tf.data.Dataset.counter(first // samples).flat_map(one_pass).skip(first % samples)
    return records.batch(global_batch, drop_remainder=True)


def batch_keys(index: Index, config: DataConfig, at: Position) -> list[str]:
    """Return the keys of the first batch of a stream, in its order; ``config`` gives cache and shuffle buffer."""
    whole = at.batch_size * at.num_shards
    mine = slice(at.shard * at.batch_size, (at.shard + 1) * at.batch_size)
    if config.cache == "none":
        batch = next(iter(shuffled_records(index, at, config.shuffle_buffer)))
        return _keys(batch)[mine]
    positions = next(iter(shuffled_positions(index.samples("train"), at.seed, at.start_step * whole).batch(whole)))
    records = tf.data.TFRecordDataset(index.files("train")).batch(1024)
    every = [key for batch in records for key in _keys(batch)]
    return [every[int(position)] for position in positions.numpy()[mine]]


def _keys(serialised: tf.Tensor) -> list[str]:
    parsed = tf.io.parse_example(serialised, {"key": tf.io.FixedLenFeature((), tf.string)})
    return [key.decode("utf-8", "backslashreplace") for key in parsed["key"].numpy()]
