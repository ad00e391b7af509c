"""A whole split decoded into arrays, in memory or in files, for the caches ``memory`` and ``disk``.

A raw value that several samples share (one image with ten questions) is decoded and stored once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from mmkeras.core.errors import DataError
from mmkeras.data.encode import kind_of
from mmkeras.data.features import decode_targets, parse, rows_at_once
from mmkeras.data.frozen import FrozenPart, allocated, frozen_tables
from mmkeras.data.index import Index
from mmkeras.data.modules import records_of
from mmkeras.modalities import ModalitySpec, TensorSpec
from mmkeras.storage.files import held, sweep
from mmkeras.tasks import TaskSpec

__all__ = ["NO_FROZEN", "Arrays", "load_arrays"]

NO_FROZEN: Mapping[str, FrozenPart] = MappingProxyType({})
"""For models without a frozen branch."""
DECODE_ROWS = 64
ROWS = 1024
"""Records parsed at once."""


@dataclass(frozen=True)
class Arrays:
    """N samples. A table has a row for each distinct value, and a last row of zeros for missing values."""

    tables: dict[str, np.ndarray]
    """(U + 1, ...) by tensor name."""
    inputs: dict[str, tuple[str, ...]]
    """Names of the tables by modality."""
    rows: dict[str, np.ndarray]
    """int32 (N,) by modality: the row of each sample in the tables of that modality."""
    targets: dict[str, np.ndarray]
    """(N, ...) by name, each in its own dtype."""
    weights: np.ndarray
    """float32 (N,)."""

    def present(self, modality: str) -> np.ndarray:
        """Return float32 (N,): 1 where the modality is present."""
        return (self.rows[modality] < len(self.tables[self.inputs[modality][0]]) - 1).astype(np.float32)


def load_arrays(
    index: Index,
    split: str,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    *,
    on_disk: bool = False,
    frozen: Mapping[str, FrozenPart] = NO_FROZEN,
) -> Arrays:
    """Decode a split.

    Args:
        index: the converted data.
        split: ``train``, ``validation`` or ``test``.
        specs: the modalities to decode.
        task: gives shape, dtype and encoding of the targets.
        on_disk: keep tables, and targets of more than `features.BATCH_BYTES`, in files in ``<index.folder>/decoded``,
            mapped into memory; they are written once for a spec.
        frozen: parts of branches by modality; their outputs are read from files in place of the modality's tensors.

    Raises:
        DataError: a record is not a sample of these modalities, or the tables do not fit into memory.
    """
    try:
        return _load(index, split, specs, task, on_disk, frozen)
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        said = getattr(error, "message", "its bytes cannot be decoded")
        raise DataError(
            f"{index.folder}: a record of the split {split} is not a valid sample ({said[:200]}). Delete the folder "
            "and convert again"
        ) from None


def _load(
    index: Index,
    split: str,
    specs: Mapping[str, ModalitySpec],
    task: TaskSpec,
    on_disk: bool,
    frozen: Mapping[str, FrozenPart],
) -> Arrays:
    raw: dict[str, dict[bytes, int]] = {name: {} for name in specs}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in specs}
    weights = []
    for serialised in tf.data.TFRecordDataset(index.files(split)).batch(ROWS):
        batch = parse(specs, task, serialised)
        weights.append(batch.weight.numpy())
        for name in specs:
            seen = raw[name]
            values = zip(batch.raw[name].numpy(), batch.present[name].numpy(), strict=True)
            rows[name].append(np.array([seen.setdefault(v, len(seen)) if here else -1 for v, here in values], np.int32))
    count = sum(map(len, weights))
    decoded = {name: spec for name, spec in specs.items() if name not in frozen or frozen[name].also_read}
    if not on_disk:
        _check_memory(index, decoded, raw, task, count)
    tables: dict[str, np.ndarray] = {}
    for name, part in frozen.items():
        tables |= frozen_tables(index, split, specs[name], list(raw[name]), part)
    for name, spec in decoded.items():
        folder = _folder(index, f"{split}-{spec.name}", spec.to_json()) if on_disk else None
        tables |= _made(folder, spec.tensors, len(raw[name]) + 1, partial(_fill_values, spec, list(raw[name])))
    return Arrays(
        tables=tables,
        inputs={name: _inputs(spec, frozen.get(name)) for name, spec in specs.items()},
        rows={
            name: np.where((found := np.concatenate(parts)) < 0, np.int32(len(raw[name])), found)
            for name, parts in rows.items()
        },
        targets=_targets(index, split, task, count, on_disk),
        weights=np.concatenate(weights),
    )


def _inputs(spec: ModalitySpec, part: FrozenPart | None) -> tuple[str, ...]:
    if part is None:
        return tuple(tensor.name for tensor in spec.tensors)
    return (*(each.name for each in part.outputs), *part.also_read)


def _targets(index: Index, split: str, task: TaskSpec, count: int, on_disk: bool) -> dict[str, np.ndarray]:
    described = {target.name: str(target) for target in task.targets}
    # Small arrays stay in memory: a batch from a file takes longer than one from a tensor.
    large = count > rows_at_once(task.targets, count)
    folder = _folder(index, f"{split}-targets", described) if on_disk and large else None
    return _made(folder, task.targets, count, partial(_fill_targets, index, split, task))


def _folder(index: Index, name: str, described: Any) -> Path:
    text = json.dumps(described, sort_keys=True, default=str).encode()
    # Without its damaged records a split has fewer rows, and so other tables.
    text += "".join(row.origin for row in index.damaged).encode()
    return index.folder / "decoded" / f"{name}-{hashlib.sha256(text).hexdigest()[:12]}"


def _made(
    folder: Path | None, specs: Sequence[TensorSpec], count: int, fill: Callable[[dict[str, np.ndarray]], None]
) -> dict[str, np.ndarray]:
    """Return filled tables (count, ...) by name: in memory, or in a folder, where they are written once."""
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
                tables = {t.name: allocated(beside / f"{t.name}.npy", (count, *t.shape), t.dtype) for t in specs}
                fill(tables)
                del tables
                if not folder.is_dir():  # else another process was first, with the same content
                    os.replace(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return {t.name: np.load(folder / f"{t.name}.npy", mmap_mode="r") for t in specs}


def _fill_values(spec: ModalitySpec, raw: list[bytes], tables: dict[str, np.ndarray]) -> None:
    if raw:
        values = tf.data.Dataset.from_tensor_slices(raw).batch(DECODE_ROWS)
        _fill(tables, values, partial(records_of(kind_of(spec)).decode, spec), tf.data.AUTOTUNE)


def _fill_targets(index: Index, split: str, task: TaskSpec, tables: dict[str, np.ndarray]) -> None:
    if tables:
        records = tf.data.TFRecordDataset(index.files(split)).batch(rows_at_once(task.targets, ROWS))
        # Two batches at a time: decoded masks are large.
        _fill(tables, records, lambda serialised: decode_targets(task, parse({}, task, serialised)), 2)


def _fill(tables: dict[str, np.ndarray], batches: tf.data.Dataset, decode: Callable[..., Any], parallel: int) -> None:
    """Write decoded batches into the tables, one after the other."""
    decode = tf.autograph.experimental.do_not_convert(decode)
    start = 0
    for batch in batches.map(decode, num_parallel_calls=parallel, deterministic=True).as_numpy_iterator():
        for name, value in batch.items():
            tables[name][start : start + len(value)] = value
        start += len(value)


def _check_memory(
    index: Index, specs: Mapping[str, ModalitySpec], raw: Mapping[str, Mapping[bytes, int]], task: TaskSpec, count: int
) -> None:
    """Refuse tables that would fill more than 80 % of the memory."""
    parts = [(len(raw[name]), tensor) for name, spec in specs.items() for tensor in spec.tensors]
    parts += [(count, target) for target in task.targets]
    needed = sum(rows * int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize for rows, spec in parts)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.8 * memory:
        raise DataError(
            f"{index.folder}: decoded, the data takes {needed / 2**30:.1f} GiB, this machine has {memory / 2**30:.1f}. "
            'Set data.cache to "disk" or "none"'
        )
