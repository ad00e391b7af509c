"""Outputs of frozen branches: computed once for each distinct value of a split, and kept in files beside the shards.

``<index.folder>/frozen/<split>-<modality>-<key>/`` holds one ``.npy`` file for each output and done.json. The key is a
hash of the weights and options of the frozen part, the spec, the data and the versions of the libraries, so that any
change computes the outputs anew. A file that is altered or does not fit the model is found before it is used.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from mmkeras.core.errors import DataError
from mmkeras.core.typed import read_json
from mmkeras.data.encode import kind_of
from mmkeras.data.index import Index
from mmkeras.data.modules import records_of
from mmkeras.modalities import ModalitySpec, TensorSpec
from mmkeras.storage.files import locked, write_json

__all__ = ["FrozenPart", "allocated", "distinct", "frozen_tables"]

BATCH = 64
"""Values computed at once, at most. A computation resumes at a multiple of it, so that every batch has the same
values."""
_BATCH_BYTES = 2**24
"""Of the tensors of a batch, at most: a clip has many pictures."""
_SAVE_SECONDS = 5.0
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FrozenPart:
    """The frozen beginning of a branch, whose outputs take the place of the modality's tensors in training."""

    modality: str
    """Name of the modality."""
    outputs: tuple[TensorSpec, ...]
    """The outputs for one sample; their names become inputs of the training."""
    compute: Callable[[Mapping[str, Any]], Sequence[Any]]
    """From the modality's tensors (B, ...) by name to the outputs (B, ...)."""
    also_read: tuple[str, ...]
    """Tensors of the modality that the rest of the model reads too, such as a mask."""
    key: str
    """Hash of weights, options and versions."""
    say: Callable[[str], None]
    """Prints a line."""

    @property
    def bytes_of_one(self) -> int:
        """Bytes of the outputs of one value."""
        return sum(math.prod(each.shape) * np.dtype(each.dtype).itemsize for each in self.outputs)


def frozen_tables(
    index: Index, split: str, spec: ModalitySpec, raw: Sequence[bytes], part: FrozenPart
) -> dict[str, np.ndarray]:
    """Return the outputs, mapped from their files: (U + 1, ...) by name, the last row for a missing value.

    Args:
        index: the converted data.
        split: its split.
        spec: of the modality.
        raw: the U distinct records of the split.
        part: the frozen part of the branch.
    """
    described = json.dumps(
        [part.key, index.fingerprint, split, spec.to_json(), [row.origin for row in index.damaged], len(raw)],
        sort_keys=True,
        default=str,
    )
    key = hashlib.sha256(described.encode()).hexdigest()
    folder = index.folder / "frozen" / f"{split}-{spec.name}-{key[:16]}"
    folder.parent.mkdir(exist_ok=True)
    rows, began = len(raw) + 1, time.monotonic()
    about = f"{spec.name}, {split}: outputs of the frozen branch for {len(raw):,} distinct values"
    with locked(folder.with_suffix(".lock"), "which computes the same outputs", part.say):
        if folder.is_dir():
            tables, problem = _read(folder, spec, raw, part, key)
            if not problem:
                part.say(f"{about}: read from {os.path.relpath(folder)}")
                return tables
            part.say(f"{os.path.relpath(folder)}: {problem}; it is computed again")
            shutil.rmtree(folder)
        size = rows * part.bytes_of_one / 2**20
        part.say(f"{about}: computed once, {size:,.1f} MiB in {os.path.relpath(folder)}")
        first = _compute(folder.with_suffix(".partial"), spec, raw, part, key)
        os.replace(folder.with_suffix(".partial"), folder)
    again = f", {first:,} of them before an interruption" if first else ""
    part.say(f"{about}: done in {time.monotonic() - began:.0f} s{again}")
    return {each.name: np.load(folder / f"{each.name}.npy", mmap_mode="r") for each in part.outputs}


def distinct(index: Index, split: str, name: str) -> int:
    """Return the number of distinct records of a modality in a split."""
    seen: set[bytes] = set()
    features = {name: tf.io.FixedLenFeature((), tf.string)}
    for batch in tf.data.TFRecordDataset(index.files(split)).batch(1024):
        seen.update(hashlib.sha256(value).digest() for value in tf.io.parse_example(batch, features)[name].numpy())
    return len(seen)


def allocated(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return a new array in a file, whose whole room is taken on the disk."""
    array: np.ndarray = np.lib.format.open_memmap(path, "w+", dtype=np.dtype(dtype), shape=shape)
    with path.open("r+b") as file:
        # On a full disk this raises an error; writing to the mapped memory would kill the process.
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


# === Computing ===


def _compute(folder: Path, spec: ModalitySpec, raw: Sequence[bytes], part: FrozenPart, key: str) -> int:
    """Fill the files of a folder; return the rows that an interrupted computation had filled."""
    rows, progress = len(raw) + 1, folder / "progress.json"
    first = _filled(progress, key)
    if not first:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    tables = {}
    for each in part.outputs:
        path = folder / f"{each.name}.npy"
        tables[each.name] = np.load(path, mmap_mode="r+") if first else allocated(path, (rows, *each.shape), each.dtype)
    start, saved = first, time.monotonic()
    for values in _batches(spec, raw[first:], part):
        for each, value in zip(part.outputs, values, strict=True):
            tables[each.name][start : start + len(value)] = value
        start += len(values[0])
        if time.monotonic() - saved > _SAVE_SECONDS and start % BATCH == 0:
            for table in tables.values():
                _flush(table)
            write_json(progress, {"key": key, "rows": start})
            saved = time.monotonic()
    for each, value in zip(part.outputs, _missing(spec, part), strict=True):
        tables[each.name][-1] = value[0]
        _flush(tables[each.name])
    del tables
    progress.unlink(missing_ok=True)
    digests = {each.name: _digest(folder / f"{each.name}.npy") for each in part.outputs}
    write_json(folder / "done.json", {"key": key, "sha256": digests})
    return first


def _flush(table: np.ndarray) -> None:
    if isinstance(table, np.memmap):
        table.flush()


def _filled(progress: Path, key: str) -> int:
    """Return the rows that are filled already, for the same key."""
    try:
        found = read_json(progress, DataError, "Delete the folder.")
    except (FileNotFoundError, DataError):
        return 0
    rows = found.get("rows")
    return rows if found.get("key") == key and type(rows) is int and rows > 0 and rows % BATCH == 0 else 0


def _batches(spec: ModalitySpec, raw: Sequence[bytes], part: FrozenPart) -> Iterator[list[np.ndarray]]:
    if not raw:
        return
    decode = tf.autograph.experimental.do_not_convert(partial(records_of(kind_of(spec)).decode, spec))
    size = sum(tensor.zeros().nbytes for tensor in spec.tensors)
    # A power of two, so that it divides BATCH.
    most = min(BATCH, 2 ** max(0, (_BATCH_BYTES // size).bit_length() - 1))
    batches = tf.data.Dataset.from_tensor_slices(list(raw)).batch(most)
    for tensors in batches.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2):
        yield [np.asarray(value) for value in part.compute(tensors)]


def _missing(spec: ModalitySpec, part: FrozenPart) -> list[np.ndarray]:
    zeros = {tensor.name: tf.constant(tensor.zeros()) for tensor in spec.tensors}
    return [np.asarray(value) for value in part.compute(zeros)]


# === Reading ===


def _read(
    folder: Path, spec: ModalitySpec, raw: Sequence[bytes], part: FrozenPart, key: str
) -> tuple[dict[str, np.ndarray], str]:
    """Return the tables, and why they cannot be used, or an empty text."""
    tables = {}
    try:
        done = read_json(folder / "done.json", DataError, "Delete the folder.")
        for each in part.outputs:
            path = folder / f"{each.name}.npy"
            if done.get("key") != key or done.get("sha256", {}).get(each.name) != _digest(path):
                return {}, "was altered, or is of other weights or data"
            tables[each.name] = np.load(path, mmap_mode="r")
            if tables[each.name].shape != (len(raw) + 1, *each.shape):
                return {}, f"{path.name} has the shape {tables[each.name].shape}"
    except (OSError, ValueError, AttributeError, DataError) as error:
        return {}, f"cannot be read ({error!s:.200})"
    # The key is a hash of all that the outputs depend on; this finds what it does not cover, such as changed code.
    probes = sorted({0, len(raw) // 2, len(raw) - 1}) if raw else []
    for place in probes:
        (values,) = _batches(spec, [raw[place]], part)
        for each, value in zip(part.outputs, values, strict=True):
            stored = tables[each.name][place]
            if np.abs(stored - value[0]).max() > _TOLERANCE * max(1.0, float(np.abs(value).max())):
                return {}, "differs from what the model computes now"
    return tables, ""


def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
