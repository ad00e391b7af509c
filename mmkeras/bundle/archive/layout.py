"""The bytes of a packed bundle around its members: the plain zip format, with one choice for every field.

Every field is fixed or follows from a member's name, size and CRC-32. So the reader computes all these bytes, and none
can change unnoticed. Source: PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["END_SIZE", "LOCAL_SIZE", "Member", "central_directory", "central_entry", "end", "local_header", "offsets"]

LOCAL_SIZE, CENTRAL_SIZE, END_SIZE = 30, 46, 22
"""Bytes of a local header, a directory entry and the end record, without names."""
_VERSION = 20
_UNIX = 3 << 8
# 1 January 1980, the first date of a zip: the time of packing must not change the bytes.
_TIME, _DATE = 0, 0x21
# A regular file, readable by all. A link would be 0o120777.
_ATTRIBUTES = 0o100644 << 16
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


@dataclass(frozen=True)
class Member:
    """One file in a packed bundle."""

    name: str
    """With forward slashes."""
    size: int
    """Bytes; also in the file, since members are stored."""
    crc: int
    sha256: str
    offset: int
    """Position of its bytes in the file."""

    @property
    def header(self) -> int:
        """Position of its local header."""
        return self.offset - LOCAL_SIZE - len(self.name)


def local_header(name: str, size: int, crc: int) -> bytes:
    """Return the header before a member's bytes."""
    fixed = _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, 0, _TIME, _DATE, crc, size, size, len(name), 0)
    return fixed + name.encode("ascii")


def central_entry(member: Member) -> bytes:
    """Return a member's entry in the directory at the end."""
    sizes = (member.crc, member.size, member.size, len(member.name))
    fixed = (_UNIX | _VERSION, _VERSION, 0, 0, _TIME, _DATE, *sizes, 0, 0, 0, 0, _ATTRIBUTES, member.header)
    return _CENTRAL.pack(b"PK\x01\x02", *fixed) + member.name.encode("ascii")


def central_directory(members: Iterable[Member]) -> bytes:
    """Return the directory of all members."""
    return b"".join(central_entry(member) for member in members)


def end(count: int, start: int, size: int) -> bytes:
    """Return the end record for a directory of ``count`` members at position ``start`` with ``size`` bytes."""
    return _END.pack(b"PK\x05\x06", 0, 0, count, count, size, start, 0)


def offsets(sizes: Iterable[tuple[str, int]]) -> tuple[dict[str, int], int]:
    """Return the position of each member's bytes by name, and the size of the whole file."""
    found, position, directory = {}, 0, 0
    for name, size in sizes:
        found[name] = position + LOCAL_SIZE + len(name)
        position = found[name] + size
        directory += CENTRAL_SIZE + len(name)
    return found, position + directory + END_SIZE
