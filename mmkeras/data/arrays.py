"""A whole split decoded into arrays, in memory or in files: what the quick caches read batches from.

A raw value that several samples share (the image behind ten questions) is decoded and stored once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmkeras.core.components import find
from mmkeras.core.errors import DataError
from mmkeras.data.encode import room
from mmkeras.data.features import decode_targets, parse
from mmkeras.data.index import Index
from mmkeras.data.targets import rows_at_once
from mmkeras.modalities import ModalitySpec, TensorSpec
from mmkeras.storage.files import held, sweep
from mmkeras.tasks import TaskSpec

__all__ = ["Arrays", "load_arrays"]

DECODE_ROWS = 64
ROWS = 1024
"""Records parsed at once."""


@dataclass(frozen=True)
class Arrays:
    """N samples. A table has a row for each distinct value and a last one of zeros for missing ones."""

    tables: dict[str, np.ndarray]
    """(U + 1, ...) by tensor name."""
    rows: dict[str, np.ndarray]
    """int32 (N,) by modality: the row of each sample in the tables of that modality."""
    targets: dict[str, np.ndarray]
    """(N, ...) by name, each in its own dtype."""
    weights: np.ndarray
    """float32 (N,)."""

    def present(self, modality: str, tensor: str) -> np.ndarray:
        """Return float32 (N,): 1 where the modality is there."""
        return (self.rows[modality] < len(self.tables[tensor]) - 1).astype(np.float32)


def load_arrays(
    index: Index, split: str, specs: Mapping[str, ModalitySpec], task: TaskSpec, *, on_disk: bool = False
) -> Arrays:
    """Decode a split.

    Args:
        index: the converted data.
        split: ``train``, ``validation`` or ``test``.
        specs: what to decode, and how.
        task: names shape, dtype and encoding of the targets.
        on_disk: keep tables, and targets of more than `targets.BATCH_BYTES`, in ``<index.folder>/decoded``, mapped into
            memory; they are made once for a spec.

    Raises:
        DataError: the tables do not fit into memory.
    """
    raw: dict[str, dict[bytes, int]] = {name: {} for name in specs}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in specs}
    weights = []
    dataset = tf.data.TFRecordDataset(index.files(split)).batch(ROWS)
    for serialised in dataset:
        try:
            batch = parse(specs, task, serialised)
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
            raise _no_sample(index, split, error) from None
        weights.append(batch.weight.numpy())
        for name in specs:
            seen = raw[name]
            values = zip(batch.raw[name].numpy(), batch.present[name].numpy(), strict=True)
            rows[name].append(np.array([seen.setdefault(v, len(seen)) if here else -1 for v, here in values], np.int32))
    tables: dict[str, np.ndarray] = {}
    count = sum(map(len, weights))
    if not on_disk:
        _check_memory(index, specs, raw, task, count)
    try:
        for name, spec in specs.items():
            tables.update(_tables(index, split, spec, list(raw[name]), on_disk))
        targets = _targets(index, split, task, count, on_disk)
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        raise _no_sample(index, split, error) from None
    return Arrays(
        tables=tables,
        rows={name: _missing_last(np.concatenate(parts), len(raw[name])) for name, parts in rows.items()},
        targets=targets,
        weights=np.concatenate(weights),
    )


def _no_sample(index: Index, split: str, error: Exception) -> DataError:
    said = getattr(error, "message", "its bytes cannot be decoded")
    return DataError(
        f"{index.folder}: a record of the split {split} holds something else than a sample ({said[:200]}). Delete the "
        "folder and convert again"
    )


def _missing_last(rows: np.ndarray, distinct: int) -> np.ndarray:
    return np.where(rows < 0, np.int32(distinct), rows)


def _tables(index: Index, split: str, spec: ModalitySpec, raw: list[bytes], on_disk: bool) -> dict[str, np.ndarray]:
    folder = _folder(index, f"{split}-{spec.name}", spec.to_json()) if on_disk else None
    return _made(folder, spec.tensors, len(raw) + 1, lambda tables: _fill(tables, spec, raw))


def _targets(index: Index, split: str, task: TaskSpec, count: int, on_disk: bool) -> dict[str, np.ndarray]:
    described = {target.name: str(target) for target in task.targets}
    # Small ones stay in memory: a batch from a file takes longer than one from a tensor.
    large = count > rows_at_once(task.targets, count)
    folder = _folder(index, f"{split}-targets", described) if on_disk and large else None
    return _made(folder, task.targets, count, lambda tables: _fill_targets(tables, index, split, task))


def _folder(index: Index, name: str, described: Any) -> Path:
    text = json.dumps(described, sort_keys=True, default=str).encode()
    # What is left of damaged shards has other rows than the whole ones.
    text += "".join(row.origin for row in index.damaged).encode()
    return index.folder / "decoded" / f"{name}-{hashlib.sha256(text).hexdigest()[:12]}"


def _made(
    folder: Path | None, specs: Sequence[TensorSpec], count: int, fill: Callable[[dict[str, np.ndarray]], None]
) -> dict[str, np.ndarray]:
    """Return filled tables (count, ...) by name: in memory, or in a folder, where they are made once."""
    if folder is None:
        tables = {t.name: np.zeros((count, *t.shape), t.dtype) for t in specs}
        fill(tables)
        return tables
    if not folder.is_dir():
        sweep(folder.parent.glob(f"{folder.name}.*.tmp"))
        beside = folder.with_name(f"{folder.name}.{os.getpid()}-{threading.get_native_id()}.tmp")
        try:
            beside.mkdir(parents=True, exist_ok=True)
            with held(beside):
                tables = {t.name: _open(beside / f"{t.name}.npy", (count, *t.shape), t.dtype) for t in specs}
                fill(tables)
                del tables
                if not folder.is_dir():  # else another process was first, with the same content
                    os.replace(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return {t.name: np.load(folder / f"{t.name}.npy", mmap_mode="r") for t in specs}


def _open(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    array: np.ndarray = np.lib.format.open_memmap(path, "w+", dtype=np.dtype(dtype), shape=shape)
    with path.open("r+b") as file:
        # A full disk is an error here; met while writing to the mapped memory it would be the end of the process.
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _fill(tables: Mapping[str, np.ndarray], spec: ModalitySpec, raw: list[bytes]) -> None:
    if not raw:
        return
    decode = find("modalities", room(spec), "records").decode

    @tf.autograph.experimental.do_not_convert
    def one_batch(values: tf.Tensor) -> dict[str, Any]:
        decoded: dict[str, Any] = decode(spec, values)
        return decoded

    values = tf.data.Dataset.from_tensor_slices(raw).batch(DECODE_ROWS)
    start = 0
    for batch in values.map(one_batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2).as_numpy_iterator():
        count = len(next(iter(batch.values())))
        for name, value in batch.items():
            tables[name][start : start + count] = value
        start += count


def _fill_targets(tables: Mapping[str, np.ndarray], index: Index, split: str, task: TaskSpec) -> None:
    if not tables:
        return

    @tf.autograph.experimental.do_not_convert
    def one_batch(serialised: tf.Tensor) -> dict[str, tf.Tensor]:
        return decode_targets(task, parse({}, task, serialised))

    records = tf.data.TFRecordDataset(index.files(split)).batch(rows_at_once(task.targets, ROWS))
    start = 0
    for batch in records.map(one_batch, num_parallel_calls=2, deterministic=True).as_numpy_iterator():
        for name, value in batch.items():
            tables[name][start : start + len(value)] = value
        start += len(value)


def _check_memory(
    index: Index, specs: Mapping[str, ModalitySpec], raw: Mapping[str, Mapping[bytes, int]], task: TaskSpec, count: int
) -> None:
    """Refuse tables that would fill more than 80 % of the memory, before they do."""
    parts = [(len(raw[name]), tensor) for name, spec in specs.items() for tensor in spec.tensors]
    parts += [(count, target) for target in task.targets]
    needed = sum(rows * int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize for rows, spec in parts)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.8 * memory:
        raise DataError(
            f"{index.folder}: decoded, the data takes {needed / 2**30:.1f} GiB, this machine has {memory / 2**30:.1f}. "
            'Set data.cache to "disk" or "none"'
        )
