"""Converted samples as they were: raw values for verification, slices and pictures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmkeras.components import find
from mmkeras.data.index import Index
from mmkeras.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Record", "iterate_samples", "read_samples", "read_targets"]


@dataclass(frozen=True)
class Record:
    """One sample."""

    key: str
    """Its name in the source."""
    values: dict[str, bytes | str | None]
    """Raw value by modality: the bytes of a file, a text, or ``None`` where it is missing."""
    target: np.ndarray
    """Encoded target, of the shape and dtype of the task's spec."""
    weight: float
    """Weight in loss and metrics."""
    columns: dict[str, str]
    """Columns to slice by."""


def read_samples(index: Index, split: str, limit: int | None = None) -> list[Record]:
    """Return the samples of a split in the order in which `eval_dataset` gives them.

    Args:
        index: the converted data.
        split: ``train``, ``validation`` or ``test``.
        limit: only the first so many.

    Raises:
        DataError: no samples in the split, or a damaged shard.
    """
    return list(itertools.islice(iterate_samples(index, split), limit))


def iterate_samples(index: Index, split: str) -> Iterator[Record]:
    """Yield the samples of a split one by one."""
    from mmkeras.tasks import task_from_json

    target = task_from_json(index.task).target
    # A room whose raw values are not bytes says how to get them back from a record.
    raws = {name: getattr(find("modalities", room, "records"), "raw", bytes) for name, room in index.modalities.items()}
    for example in _examples(index, split):
        feature = example.features.feature
        values: dict[str, bytes | str | None] = {}
        for name, raw in raws.items():
            record = feature[name].bytes_list.value[0]
            present = feature[f"{name}_present"].int64_list.value[0]
            values[name] = raw(record) if present else None
        yield Record(
            key=feature["key"].bytes_list.value[0].decode(),
            values=values,
            target=np.array(feature["target"].float_list.value, target.dtype).reshape(target.shape),
            weight=feature["weight"].float_list.value[0],
            columns=json.loads(feature["columns"].bytes_list.value[0]),
        )


def read_targets(index: Index, split: str) -> np.ndarray:
    """Return the encoded targets of a split (N, ...), without its raw values."""
    import tensorflow as tf

    from mmkeras.tasks import task_from_json

    target = task_from_json(index.task).target
    feature = {"target": tf.io.FixedLenFeature((int(np.prod(target.shape)),), tf.float32)}
    batches = tf.data.TFRecordDataset(index.files(split)).batch(1024)
    values = [tf.io.parse_example(batch, feature)["target"].numpy() for batch in batches]
    return np.concatenate(values).reshape(-1, *target.shape).astype(target.dtype)


def _examples(index: Index, split: str) -> Iterator[tf.train.Example]:
    import tensorflow as tf

    try:
        for raw in tf.data.TFRecordDataset(index.files(split)).as_numpy_iterator():
            yield tf.train.Example.FromString(raw)
    except tf.errors.DataLossError as error:
        raise DataError(
            f"{index.folder}: a shard is damaged ({error.message}). Delete the folder and convert again"
        ) from None
