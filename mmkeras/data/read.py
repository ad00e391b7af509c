"""Reads converted samples with their raw values, for verification, slices and pictures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.data.encode import target_key
from mmkeras.data.index import Index, check_lengths
from mmkeras.data.modules import records_of
from mmkeras.tasks import TargetSpec, TaskSpec, task_from_json
from mmkeras.tasks._targets import as_rows

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["Record", "iterate_samples", "read_samples", "read_targets", "explained_errors"]

_HINT = "Delete the folder and convert again"
RECORDS = 64
_PARSED = 1024
"""Records whose targets are parsed at once."""
_TARGET_ROWS = 65_536


@dataclass(frozen=True)
class Record:
    """One sample."""

    key: str
    """Its name in the source."""
    values: dict[str, bytes | str | None]
    """Raw value by modality: the bytes of a file, a text, or ``None`` for a missing one."""
    target: np.ndarray
    """Encoded target, of the task's shape and dtype; several targets are a record array of one row, by name."""
    weight: float
    columns: dict[str, str]
    """Columns to slice by."""
    group: int = 0
    """Number of its group within the split; samples of one group depend on each other."""


def read_samples(index: Index, split: str, limit: int | None = None) -> list[Record]:
    """Return the samples of a split in the order of `eval_dataset`, at most ``limit``.

    Raises:
        DataError: no samples in the split, or a damaged shard.
    """
    return list(itertools.islice(iterate_samples(index, split), limit))


def iterate_samples(index: Index, split: str) -> Iterator[Record]:
    """Yield the samples of a split one by one."""
    targets = _task_of(index).targets
    raws = {name: records_of(kind).raw for name, kind in index.modalities.items()}
    for example in _examples(index, split):
        try:
            record = _record(example, raws, targets)
        except (LookupError, ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f"{index.folder}: a record of the split {split} is not a valid sample "
                f"({type(error).__name__}: {error!s:.200}). {_HINT}"
            ) from error
        yield record


def _record(
    example: tf.train.Example, raws: Mapping[str, Callable[[bytes], Any]], targets: Sequence[TargetSpec]
) -> Record:
    feature = example.features.feature

    def content(name: str) -> bytes:
        value: bytes = feature[name].bytes_list.value[0]
        return value

    present = {name: feature[f"{name}_present"].int64_list.value[0] for name in raws}
    columns = json.loads(content("columns"))
    if not isinstance(columns, dict):
        raise TypeError(f"its columns are {columns!r:.60}")
    return Record(
        key=content("key").decode(),
        values={name: raw(content(name)) if present[name] else None for name, raw in raws.items()},
        target=as_rows(targets, {spec.name: spec.from_bytes(content(target_key(spec.name))) for spec in targets}),
        weight=feature["weight"].float_list.value[0],
        columns={str(name): str(value) for name, value in columns.items()},
        group=feature["group"].int64_list.value[0],
    )


def _task_of(index: Index) -> TaskSpec:
    """Return the task of the records, whose targets they hold."""
    task = task_from_json(index.task)
    if index.targets != {spec.name: str(spec) for spec in task.targets}:
        raise DataError(f"{index.folder}: its index names the targets {index.targets}, not those of its task. {_HINT}")
    return task


def read_targets(index: Index, split: str) -> Iterator[np.ndarray]:
    """Yield the encoded targets of a split in batches (n, ...); large targets come in smaller batches.

    Raises:
        DataError: no samples in the split, or a damaged shard.
    """
    import tensorflow as tf

    from mmkeras.data.features import decode_targets, parse, rows_at_once

    task = _task_of(index)

    @tf.autograph.experimental.do_not_convert
    def read(serialised: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        batch = parse({}, task, serialised)
        return decode_targets(task, batch), batch.weight

    check_lengths(index, split)
    rows = 0
    with explained_errors(index):
        batches = tf.data.TFRecordDataset(index.files(split)).batch(rows_at_once(task.targets, _PARSED)).map(read)
        for values, weights in batches.rebatch(rows_at_once(task.targets, _TARGET_ROWS)).as_numpy_iterator():
            rows += len(weights)
            yield as_rows(task.targets, values, len(weights))
    if not rows:
        raise DataError(f"{index.folder}: the shards of the split {split} hold no records. {_HINT}")


def _examples(index: Index, split: str) -> Iterator[tf.train.Example]:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    check_lengths(index, split)
    with explained_errors(index):
        # A step of the iterator takes longer than most records, so each reads many.
        for batch in tf.data.TFRecordDataset(index.files(split)).batch(RECORDS).as_numpy_iterator():
            try:
                yield from map(tf.train.Example.FromString, batch)
            except DecodeError as error:
                raise DataError(
                    f"{index.folder}: a record of the split {split} is not a valid tf.train.Example ({error}). {_HINT}"
                ) from None


@contextmanager
def explained_errors(index: Index) -> Iterator[None]:
    """Turn TensorFlow's errors about damaged shards into a `DataError`."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
        raise DataError(f"{index.folder}: a shard is damaged ({error.message[:400]}). {_HINT}") from None
    except UnicodeDecodeError:  # TensorFlow's message quotes bytes of the record that are not UTF-8
        raise DataError(
            f"{index.folder}: a shard holds a record that is not a valid tf.train.Example. {_HINT}"
        ) from None
