"""Damage inside TFRecords, with lengths and checksums that fit, so that it reaches the parser of the records.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord, section "TFRecords format details".
"""

from __future__ import annotations

import functools
import random
import struct

from tests.fuzz.damage import raw

__all__ = ["damage"]

_MASK = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78
"""Of CRC-32C (Castagnoli), reflected."""


def damage(content: bytes, chance: random.Random) -> bytes:
    """Return a file with a record changed, dropped, repeated or of another length than it says."""
    records, place = [], 0
    while place + 16 <= len(content):
        length = int.from_bytes(content[place : place + 8], "little")
        if place + 16 + length > len(content):
            break
        records.append(content[place + 12 : place + 12 + length])
        place += 16 + length
    if not records:
        return content
    at = chance.randrange(len(records))
    kind = chance.choice(("inside", "inside", "inside", "inside", "drop", "twice", "empty", "length"))
    if kind == "inside":
        records[at] = raw.damage(records[at], records, chance)
    elif kind == "drop":
        del records[at]
    elif kind == "twice":
        records.insert(at, records[at])
    elif kind == "empty":
        records[at] = b""
    written = [_framed(record) for record in records]
    if kind == "length":
        said = struct.pack("<Q", chance.choice((0, 2**20, 2**31, 2**40, 2**63, 2**64 - 1)))
        written[at] = said + _checksum(said) + written[at][12:]
    return b"".join(written)


def _framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + _checksum(length) + record + _checksum(record)


def _checksum(data: bytes) -> bytes:
    table, value = _table(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return struct.pack("<I", (((value >> 15) | (value << 17)) + _MASK) & 0xFFFFFFFF)


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return tuple(table)
