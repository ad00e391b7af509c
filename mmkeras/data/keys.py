"""The names of the samples in a training batch, found again from its number."""

from __future__ import annotations

import tensorflow as tf

from mmkeras.core.config import DataConfig
from mmkeras.data.index import Index
from mmkeras.data.seeds import shuffled_positions
from mmkeras.data.streams import Position, shuffled_records

__all__ = ["batch_keys"]


def batch_keys(index: Index, config: DataConfig, at: Position) -> list[str]:
    """Return the keys of the batch that a stream begins with, in its order.

    Args:
        index: the converted data.
        config: its ``cache`` and ``shuffle_buffer`` decide on the order.
        at: where the stream begins, as `mmkeras.data.dataset.train_dataset` was told.
    """
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
