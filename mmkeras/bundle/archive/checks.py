"""Checks every byte of a packed bundle, and finds what is wrong with a damaged one."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from mmkeras.bundle.archive.layout import (
    END_SIZE,
    LOCAL_SIZE,
    Member,
    central_directory,
    central_entry,
    end,
    local_header,
)
from mmkeras.bundle.archive.layout import offsets as member_offsets
from mmkeras.bundle.archive.listing import Listed, parse
from mmkeras.bundle.archive.names import (
    LISTING,
    MAX_FILE,
    MAX_LISTING,
    MAX_SIGNATURE,
    SIGNATURE,
    check_name,
    check_names,
    check_size,
)
from mmkeras.bundle.archive.signature import Signature, read_signature, verify
from mmkeras.core.errors import ArchiveError

__all__ = ["BLOCK", "check_file"]

BLOCK = 1 << 20
"""Bytes that are read at a time."""
_RATIO = 1000


def check_file(file: BinaryIO, where: str, key: str | Path | None) -> tuple[dict[str, Member], Signature | None]:
    """Check every byte of a packed bundle, and return the listed members by name and the signature.

    ``key`` is a file with an Ed25519 public key (PEM) that the signature must match.

    Raises:
        ArchiveError: truncated, altered, hostile, or without the required signature; names the member.
        DependencyError: a key is given, and the package that checks signatures is not installed.
    """
    size = os.fstat(file.fileno()).st_size
    if size > MAX_FILE:
        raise ArchiveError(f"{where}: expected at most {MAX_FILE:,} bytes, got {size:,}.")
    content = _first(file, where, LISTING, MAX_LISTING)
    if content is None:
        raise _diagnose(file, where, f"does not begin with the member {LISTING!r}")
    listed = parse(content, where)
    whole = {LISTING: Listed.of(content)}
    signed = _first(file, where, SIGNATURE, MAX_SIGNATURE)
    signature = None
    if signed is not None:
        signature = read_signature(signed, where)
        whole[SIGNATURE] = Listed.of(signed)
    # Before anything else is read: without a valid signature the list is untrusted.
    if key is not None:
        verify(content, signature, key, where)
    whole |= listed
    offsets, expected = member_offsets((name, entry.size) for name, entry in whole.items())
    members = [_check_member(file, where, name, entry, offsets[name]) for name, entry in whole.items()]
    _check_directory(file, where, members)
    if size != expected:
        extra = f"has {size - expected:,} bytes behind the last member {members[-1].name!r} that belong to no member"
        raise _diagnose(file, where, extra)
    return {member.name: member for member in members if member.name in listed}, signature


def _first(file: BinaryIO, where: str, name: str, limit: int) -> bytes | None:
    """Read a member at the current position, with the size in its header; None if another member is there."""
    start = file.tell()
    header = file.read(LOCAL_SIZE + len(name))
    if header[LOCAL_SIZE:] != name.encode() or header[:4] != b"PK\x03\x04":
        file.seek(start)
        return None
    crc, size = int.from_bytes(header[14:18], "little"), int.from_bytes(header[22:26], "little")
    if size > limit:
        raise ArchiveError(f"{where}: the member {name!r} has {size:,} bytes, at most {limit:,} are allowed.")
    if header != local_header(name, size, crc):
        raise _diagnose(file, where, f"has another header for the member {name!r} than `mmkeras pack` writes")
    content = file.read(size)
    if len(content) < size:
        raise ArchiveError(f"{where}: is cut off in the member {name!r}. Copy it again.")
    if zlib.crc32(content) != crc:
        raise ArchiveError(f"{where}: the member {name!r} was altered: its checksum does not fit. Copy it again.")
    return content


def _check_member(file: BinaryIO, where: str, name: str, listed: Listed, offset: int) -> Member:
    file.seek(offset - LOCAL_SIZE - len(name))
    header = file.read(LOCAL_SIZE + len(name))
    said = int.from_bytes(header[14:18], "little")
    if len(header) == LOCAL_SIZE + len(name) and header != local_header(name, listed.size, said):
        found = "other bytes"
        if header.startswith(b"PK\x03\x04"):
            found = f"{header[LOCAL_SIZE:].decode('ascii', 'replace')!r} or another size"
        raise _diagnose(file, where, f"should hold the member {name!r} of {listed.size:,} bytes and holds {found}")
    sha, crc, left = hashlib.sha256(), 0, listed.size
    while left and (block := file.read(min(BLOCK, left))):
        sha.update(block)
        crc = zlib.crc32(block, crc)
        left -= len(block)
    if left or len(header) < LOCAL_SIZE + len(name):
        raise ArchiveError(f"{where}: is cut off in the member {name!r}: {left:,} bytes are missing. Copy it again.")
    if sha.hexdigest() != listed.sha256:
        raise ArchiveError(
            f"{where}: the member {name!r} is not what was packed: expected sha256 {listed.sha256}, "
            f"got {sha.hexdigest()}. It was altered on the way; copy the bundle again."
        )
    if crc != said:
        raise _diagnose(file, where, f"has another checksum for the member {name!r}")
    return Member(name, listed.size, crc, listed.sha256, offset)


def _check_directory(file: BinaryIO, where: str, members: list[Member]) -> None:
    start = members[-1].offset + members[-1].size
    file.seek(start)
    for member in members:
        entry = central_entry(member)
        if file.read(len(entry)) != entry:
            raise _diagnose(file, where, f"has another directory entry for the member {member.name!r}")
    last = end(len(members), start, len(central_directory(members)))
    if file.read(END_SIZE) != last:
        raise _diagnose(file, where, f"has a wrong end record behind its last member {members[-1].name!r}")


def _diagnose(file: BinaryIO, where: str, finding: str) -> ArchiveError:
    """Return the most specific error for a damaged file; ``finding`` completes the sentence "the file ..."."""
    general = f"{where} {finding}. It was altered or not written by `mmkeras pack`: copy or pack the bundle again."
    try:
        file.seek(0)
        begins = file.read(4)
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            problem = _problem(archive, begins, where)
    except ArchiveError as error:
        return ArchiveError(f"{error} Found because the file {finding}.")
    except Exception:  # a damaged zip makes zipfile raise nearly anything, and the error is raised without it
        if begins == b"PK\x03\x04":
            return ArchiveError(general)
        return ArchiveError(
            f"{where}: is no packed bundle, or was altered: it does not begin with the member {LISTING!r}. "
            "Name a file that `mmkeras pack` wrote, or copy it again."
        )
    if problem:
        return ArchiveError(f"{where}: {problem}. It is not read. Found because the file {finding}.")
    return ArchiveError(general)


def _problem(archive: zipfile.ZipFile, begins: bytes, where: str) -> str:
    members = archive.infolist()
    if not members:
        return f"it has no members; expected {LISTING!r} first"
    check_names([member.filename for member in members if not member.is_dir()], where)
    for member in members:
        check_name(member.filename.removesuffix("/"), where)
        name = f"the member {member.filename!r}"
        if stat.S_ISLNK(member.external_attr >> 16):
            return f"{name} is a link"
        if member.flag_bits & 1:
            return f"{name} is encrypted"
        if member.file_size > _RATIO * max(member.compress_size, 1):
            return f"{name} would grow from {member.compress_size:,} to {member.file_size:,} bytes"
        check_size(member.filename, member.file_size, where)
        if member.is_dir():
            return f"{name} is a folder; expected files only"
        if member.compress_type != zipfile.ZIP_STORED:
            return f"{name} is compressed (method {member.compress_type}); expected stored members"
        if member.extra or member.comment:
            return f"{name} has further data besides its content"
    if archive.comment:
        return f"there are {len(archive.comment)} bytes of comment behind the last member {members[-1].filename!r}"
    if begins != b"PK\x03\x04":
        return f"there is data before the first member {members[0].filename!r}"
    return ""
