"""Writes a packed bundle: the same content gives the same bytes on every system at any time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from mmkeras.bundle.archive.layout import Member, central_directory, end, local_header, offsets
from mmkeras.bundle.archive.listing import Listed, parse, render
from mmkeras.bundle.archive.names import LISTING, MAX_FILE, SIGNATURE
from mmkeras.bundle.archive.reader import Archive
from mmkeras.bundle.archive.signature import sign as make_signature
from mmkeras.bundle.archive.unpacked import Unpacked
from mmkeras.core.errors import ArchiveError
from mmkeras.storage.disk import explain
from mmkeras.storage.files import held, sweep

__all__ = ["sign_archive", "write_archive"]

_BLOCK = 1 << 20


def write_archive(target: Path, contents: Mapping[str, Path | bytes], *, sign: str | Path | None = None) -> Path:
    """Write a packed bundle to a temporary file, check it as the reader does, and move it to its place.

    ``contents`` has a file or bytes by member name; ``sign`` is a file with an Ed25519 private key (PEM).

    Raises:
        ArchiveError: a name or size that the reader refuses, or a file that is unreadable or changes during packing.
        ConfigError: the key cannot be used.
    """
    where = str(target)
    measured = {name: _measure(contents[name], name, where) for name in sorted(contents)}
    listing = render({name: entry for name, (entry, _) in measured.items()})
    parse(listing, where)
    first = {LISTING: listing}
    if sign is not None:
        first[SIGNATURE] = make_signature(listing, sign).render()
    measured = {name: (Listed.of(content), zlib.crc32(content)) for name, content in first.items()} | measured
    places, size = offsets((name, entry.size) for name, (entry, _) in measured.items())
    if size > MAX_FILE:
        raise ArchiveError(f"{where}: would have {size:,} bytes, at most {MAX_FILE:,} are allowed. Leave formats out.")
    members = [Member(name, e.size, crc, e.sha256, places[name]) for name, (e, crc) in measured.items()]
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent.glob(f".{target.name}.*.tmp"))
        with aside.open("wb") as out, held(aside):
            _write(out, members, {**contents, **first}, where)
        # Fails where a file changed while it was packed.
        Archive.open(aside).close()
        os.replace(aside, target)
    except OSError as error:
        raise ArchiveError(explain(error, target) or f"{target} cannot be written: {error.strerror}.") from error
    finally:
        with contextlib.suppress(OSError):  # a read-only disk raises for missing files too
            aside.unlink()
    return target


def sign_archive(path: Path, key: str | Path) -> Path:
    """Sign a packed bundle, or replace its signature; its other members stay the same."""
    unpacked = Unpacked(Archive.open(path))
    try:
        unpacked.get(unpacked.archive.members)
        return write_archive(path, {name: unpacked.folder / name for name in unpacked.archive.members}, sign=key)
    finally:
        unpacked.close()


def _measure(content: Path | bytes, name: str, where: str) -> tuple[Listed, int]:
    """Return a member's entry in the list, and its CRC-32."""
    sha, crc, size = hashlib.sha256(), 0, 0
    for block in _blocks(content, name, where):
        sha.update(block)
        crc, size = zlib.crc32(block, crc), size + len(block)
    return Listed(size, sha.hexdigest()), crc


def _write(out: BinaryIO, members: list[Member], contents: Mapping[str, Path | bytes], where: str) -> None:
    for member in members:
        out.write(local_header(member.name, member.size, member.crc))
        for block in _blocks(contents[member.name], member.name, where):
            out.write(block)
    start = out.tell()
    directory = central_directory(members)
    out.write(directory)
    out.write(end(len(members), start, len(directory)))


def _blocks(content: Path | bytes, name: str, where: str) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    try:
        with content.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except OSError as error:
        raise ArchiveError(f"{where}: {content} cannot be read for the member {name!r}: {error.strerror}.") from error
