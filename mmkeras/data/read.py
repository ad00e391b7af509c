"""Converted samples as they were: raw values for verification, slices and pictures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.core.components import find
from mmkeras.core.errors import DataError
from mmkeras.data.index import Index
from mmkeras.data.lengths import check_lengths
from mmkeras.modalities import TensorSpec

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Record", "iterate_samples", "read_samples", "read_targets", "explained_errors"]

_HINT = "Delete the folder and convert again"
RECORDS = 64
"""Records read at once."""


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
    group: int = 0
    """Number of its group within the split; samples of one group depend on each other."""


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
        try:
            record = _record(example, raws, target)
        except (LookupError, ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f"{index.folder}: a record of the split {split} holds something else than a sample "
                f"({type(error).__name__}: {error!s:.200}). {_HINT}"
            ) from error
        yield record


def _record(example: tf.train.Example, raws: Mapping[str, Callable[[bytes], Any]], target: TensorSpec) -> Record:
    feature = example.features.feature
    values: dict[str, bytes | str | None] = {}
    for name, raw in raws.items():
        record = feature[name].bytes_list.value[0]
        present = feature[f"{name}_present"].int64_list.value[0]
        values[name] = raw(record) if present else None
    columns = json.loads(feature["columns"].bytes_list.value[0])
    if not isinstance(columns, dict):
        raise TypeError(f"its columns are {columns!r:.60}")
    return Record(
        key=feature["key"].bytes_list.value[0].decode(),
        values=values,
        target=np.array(feature["target"].float_list.value, target.dtype).reshape(target.shape),
        weight=feature["weight"].float_list.value[0],
        columns={str(name): str(value) for name, value in columns.items()},
        group=feature["group"].int64_list.value[0],
    )


def read_targets(index: Index, split: str) -> np.ndarray:
    """Return the encoded targets of a split (N, ...), without its raw values."""
    import tensorflow as tf

    from mmkeras.tasks import task_from_json

    target = task_from_json(index.task).target
    feature = {"target": tf.io.FixedLenFeature((int(np.prod(target.shape)),), tf.float32)}
    check_lengths(index, split)
    with explained_errors(index):
        batches = tf.data.TFRecordDataset(index.files(split)).batch(1024)
        values = [tf.io.parse_example(batch, feature)["target"].numpy() for batch in batches]
    if not values:
        raise DataError(f"{index.folder}: the shards of the split {split} hold no records. {_HINT}")
    return np.concatenate(values).reshape(-1, *target.shape).astype(target.dtype)


def _examples(index: Index, split: str) -> Iterator[tf.train.Example]:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    check_lengths(index, split)
    with explained_errors(index):
        # A step of the iterator costs more than most records: it takes many at once.
        for batch in tf.data.TFRecordDataset(index.files(split)).batch(RECORDS).as_numpy_iterator():
            try:
                yield from map(tf.train.Example.FromString, batch)
            except DecodeError as error:
                raise DataError(
                    f"{index.folder}: a record of the split {split} is not a valid tf.train.Example ({error}). {_HINT}"
                ) from None


@contextmanager
def explained_errors(index: Index) -> Iterator[None]:
    """Turn TensorFlow's errors about damaged shards into errors that say what to do.

    Raises:
        DataError: a shard is damaged or gone, or holds records of another form.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
        raise DataError(f"{index.folder}: a shard is damaged ({error.message[:400]}). {_HINT}") from None
    except UnicodeDecodeError:  # TensorFlow quotes the record in a message that it then cannot read
        raise DataError(
            f"{index.folder}: a shard holds a record that is not a valid tf.train.Example. {_HINT}"
        ) from None
