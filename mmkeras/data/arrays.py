"""A whole split decoded into arrays, in memory or in files: what the quick caches read batches from.

A raw value that several samples share (the image behind ten questions) is decoded and stored once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmkeras.core.components import find
from mmkeras.core.errors import DataError
from mmkeras.data.encode import room
from mmkeras.data.features import parse
from mmkeras.data.index import Index
from mmkeras.modalities import ModalitySpec
from mmkeras.storage.files import held, sweep
from mmkeras.tasks import TaskSpec

__all__ = ["Arrays", "load_arrays"]

DECODE_ROWS = 64


@dataclass(frozen=True)
class Arrays:
    """N samples. A table has a row for each distinct value and a last one of zeros for missing ones."""

    tables: dict[str, np.ndarray]
    """(U + 1, ...) by tensor name."""
    rows: dict[str, np.ndarray]
    """int32 (N,) by modality: the row of each sample in the tables of that modality."""
    targets: np.ndarray
    """Encoded targets (N, ...)."""
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
        task: names shape and dtype of the targets.
        on_disk: keep tables in ``<index.folder>/decoded``, mapped into memory; they are made once for a spec.

    Raises:
        DataError: the tables do not fit into memory.
    """
    raw: dict[str, dict[bytes, int]] = {name: {} for name in specs}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in specs}
    targets, weights = [], []
    dataset = tf.data.TFRecordDataset(index.files(split)).batch(1024)
    for serialised in dataset:
        try:
            batch = parse(specs, task, serialised)
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
            raise _no_sample(index, split, error) from None
        targets.append(batch.target.numpy())
        weights.append(batch.weight.numpy())
        for name in specs:
            seen = raw[name]
            values = zip(batch.raw[name].numpy(), batch.present[name].numpy(), strict=True)
            rows[name].append(np.array([seen.setdefault(v, len(seen)) if here else -1 for v, here in values], np.int32))
    tables: dict[str, np.ndarray] = {}
    if not on_disk:
        _check_memory(index, specs, raw)
    try:
        for name, spec in specs.items():
            tables.update(_tables(index, split, spec, list(raw[name]), on_disk))
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        raise _no_sample(index, split, error) from None
    return Arrays(
        tables=tables,
        rows={name: _missing_last(np.concatenate(parts), len(raw[name])) for name, parts in rows.items()},
        targets=np.concatenate(targets),
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
    if not on_disk:
        tables = {t.name: np.zeros((len(raw) + 1, *t.shape), t.dtype) for t in spec.tensors}
        _fill(tables, spec, raw)
        return tables
    described = json.dumps(spec.to_json(), sort_keys=True, default=str).encode()
    # What is left of damaged shards has other rows than the whole ones.
    described += "".join(row.origin for row in index.damaged).encode()
    folder = index.folder / "decoded" / f"{split}-{spec.name}-{hashlib.sha256(described).hexdigest()[:12]}"
    if not folder.is_dir():
        sweep(folder.parent.glob(f"{folder.name}.*.tmp"))
        beside = folder.with_name(f"{folder.name}.{os.getpid()}-{threading.get_native_id()}.tmp")
        try:
            beside.mkdir(parents=True, exist_ok=True)
            with held(beside):
                sizes = {t.name: (len(raw) + 1, *t.shape) for t in spec.tensors}
                tables = {t.name: _open(beside / f"{t.name}.npy", sizes[t.name], t.dtype) for t in spec.tensors}
                _fill(tables, spec, raw)
                del tables
                if not folder.is_dir():  # else another process was first, with the same content
                    os.replace(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return {t.name: np.load(folder / f"{t.name}.npy", mmap_mode="r") for t in spec.tensors}


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


def _check_memory(index: Index, specs: Mapping[str, ModalitySpec], raw: Mapping[str, Mapping[bytes, int]]) -> None:
    """Refuse tables that would fill more than 80 % of the memory, before they do."""
    needed = sum(
        len(raw[name]) * int(np.prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize
        for name, spec in specs.items()
        for tensor in spec.tensors
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.8 * memory:
        raise DataError(
            f"{index.folder}: decoded, the data takes {needed / 2**30:.1f} GiB, this machine has {memory / 2**30:.1f}. "
            'Set data.cache to "disk" or "none"'
        )
