"""Damaged shards: records with a wrong checksum are left out, up to a limit.

A TFRecord is 8 bytes of length, 4 of their checksum, the content, and 4 of its checksum (CRC-32C, masked). TensorFlow
stops at the first wrong checksum. Here the valid records are copied to ``salvaged/`` beside the shards and read from
there.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mmkeras.core.errors import DataError
from mmkeras.data.index import QUARANTINE_FILE, Index, Shard, Split, lengths_fit
from mmkeras.data.quarantine import BadRow, write_report

if TYPE_CHECKING:
    from mmkeras.core.console import Console

__all__ = ["SALVAGED", "usable"]

SALVAGED = "salvaged"
"""Folder beside the shards with the valid records of damaged ones."""
_HEADER = 12
_FRAME = 16
_BLOCK = 1 << 20


def usable(index: Index, most: int, console: Console | None = None) -> Index:
    """Read every record once, and return an index without the damaged ones, of which ``most`` are accepted.

    Returns:
        The same index where nothing is damaged. Else one whose ``damaged`` names the records left out, and whose
        damaged shards are replaced by copies without them.

    Raises:
        DataError: a shard is missing, or more than ``most`` records are damaged; names files and offsets.
    """
    found: list[BadRow] = []
    splits: dict[str, Split] = {}
    for name, split in index.splits.items():
        shards = []
        for shard in split.shards:
            left, damaged = _salvage(index.folder, shard, name, most - len(index.damaged) - len(found))
            shards.append(left)
            found += damaged
            if len(index.damaged) + len(found) > most:
                raise _too_many([*index.damaged, *found], most)
        lost = split.samples - sum(shard.samples for shard in shards)
        splits[name] = dataclasses.replace(
            split, samples=split.samples - lost, quarantined=split.quarantined + lost, shards=tuple(shards)
        )
    if not found:
        return index
    report = index.folder / SALVAGED / QUARANTINE_FILE
    write_report(report, [*index.damaged, *found])
    if console is not None:
        say = partial(console.print, style="yellow", highlight=False, soft_wrap=True)
        say(f"{len(found)} damaged records are left out (data.max_bad_records = {most}): {report}")
        for row in found[:5]:
            say(f"  {row.origin}: {row.reason}")
    return dataclasses.replace(index, splits=splits, damaged=(*index.damaged, *found))


def _readable(path: Path) -> tuple[int, bool]:
    """Return the number of readable records, and whether the file ends after them."""
    import tensorflow as tf

    count = 0
    # TensorFlow allocates the declared length before it checks that the file is that long.
    if path.is_file() and not lengths_fit(path):
        return 0, False
    try:
        for _ in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            count += 1
    except tf.errors.DataLossError:
        return count, False
    except tf.errors.NotFoundError:
        raise DataError(
            f"{path}: the shard is missing. Restore it from a copy, or delete the folder and convert again; continue a "
            "run that was using it with --resume"
        ) from None
    return count, True


def _salvage(folder: Path, shard: Shard, split: str, most: int) -> tuple[Shard, list[BadRow]]:
    """Return the shard, or a copy of its readable records and the others; stop when more than ``most`` are damaged."""
    path = folder / shard.file
    if _readable(path) == (shard.samples, True):
        return shard, []
    name = Path(shard.file).name
    frames, damaged = _frames(path)
    lost = shard.samples - len(frames)
    if lost and not damaged:
        damaged.append((path.stat().st_size, "the file ends here"))
    target = folder / SALVAGED / f"{name}.{os.getpid()}-{threading.get_native_id()}.tmp"
    try:
        target.parent.mkdir(exist_ok=True)
        while True:
            with path.open("rb") as source, target.open("wb") as out:
                for offset, size in frames:
                    source.seek(offset)
                    out.write(source.read(size))
            good, whole = _readable(target)
            if whole or len(damaged) > most:
                break
            damaged.append((frames.pop(good)[0], "its content does not fit its checksum"))
            lost += 1
        os.replace(target, folder / SALVAGED / name)
    except OSError as error:
        raise DataError(
            f"{path}: is damaged, and its readable records cannot be written to {target.parent}: {error.strerror}. "
            "Convert again"
        ) from None
    finally:
        target.unlink(missing_ok=True)
    rows = [
        BadRow(f"{path}:{offset}", "", split, "record", f"damaged at byte {offset} of the shard: {reason}")
        for offset, reason in sorted(damaged)
    ]
    # A damaged length hides where the next record begins, so the records that are not found count as lost with it.
    rows += [
        BadRow(f"{path}:{sorted(damaged)[0][0]}", "", split, "record", "lost with the damaged record before it")
        for _ in range(lost - len(rows))
    ]
    written = folder / SALVAGED / name
    return Shard(f"{SALVAGED}/{name}", len(frames), written.stat().st_size), rows


def _frames(path: Path) -> tuple[list[tuple[int, int]], list[tuple[int, str]]]:
    """Return offset and size of every record with a valid length, and offset and reason of every damaged place."""
    frames: list[tuple[int, int]] = []
    damaged: list[tuple[int, str]] = []
    total = path.stat().st_size
    with path.open("rb") as file:
        offset = 0
        while offset < total:
            file.seek(offset)
            size = _size_in(file.read(_HEADER))
            if size is not None and offset + size <= total:
                frames.append((offset, size))
                offset += size
                continue
            cut = size is not None or total - offset < _HEADER
            damaged.append((offset, "the file ends within it" if cut else "its length does not fit its checksum"))
            offset = _next_frame(file, offset + 1, total)
    return frames, damaged


def _size_in(header: bytes) -> int | None:
    """Return the size of the record with a header; None for a damaged length."""
    if len(header) < _HEADER or _masked_crc(header[:8]) != struct.unpack("<I", header[8:])[0]:
        return None
    return int(struct.unpack("<Q", header[:8])[0]) + _FRAME


def _next_frame(file: BinaryIO, start: int, total: int) -> int:
    """Return the offset of the next record with a valid length, or the end of the file."""
    file.seek(start)
    window = b""
    while block := file.read(_BLOCK):
        window += block
        for place in range(len(window) - _HEADER + 1):
            # Records are far smaller than 2 ** 32 bytes: five of six places end here.
            if window[place + 4 : place + 8] == b"\0\0\0\0":
                size = _size_in(window[place : place + _HEADER])
                if size is not None and start + place + size <= total:
                    return start + place
        start += max(0, len(window) - _HEADER + 1)
        window = window[max(0, len(window) - _HEADER + 1) :]
    return total


def _too_many(found: Sequence[BadRow], most: int) -> DataError:
    lines = [
        f"{len(found)} or more records of the shards are damaged; data.max_bad_records accepts {most}:",
        *(f"  {row.origin}: {row.reason}" for row in found[:8]),
        f"Check the disk, delete {Path(found[0].origin.rpartition(':')[0]).parent} and convert again, or raise "
        "data.max_bad_records to train without them. Continue a run that stopped here with --resume.",
    ]
    return DataError("\n".join(lines))


def _table() -> tuple[int, ...]:
    """Return the CRC-32C (Castagnoli) of every byte."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC = _table()


def _masked_crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
