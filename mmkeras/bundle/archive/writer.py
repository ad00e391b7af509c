"""Writes a packed bundle: the same content gives the same bytes, wherever and whenever."""

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
    """Write a packed bundle beside its place, check it as a reader would, and move it there.

    ``contents`` has a file or bytes by member name; ``sign`` is a file with an Ed25519 private key (PEM).

    Raises:
        ArchiveError: a name or size that a reader would refuse, or a file that is unreadable or changes meanwhile.
        ConfigError: the key cannot be used.
    """
    where = str(target)
    listed: dict[str, Listed] = {}
    crcs: dict[str, int] = {}
    for name in sorted(contents):
        sha, crc, size = hashlib.sha256(), 0, 0
        for block in _blocks(contents[name], name, where):
            sha.update(block)
            crc, size = zlib.crc32(block, crc), size + len(block)
        listed[name], crcs[name] = Listed(size, sha.hexdigest()), crc
    listing = render(listed)
    parse(listing, where)
    whole: dict[str, Path | bytes] = {LISTING: listing}
    if sign is not None:
        whole[SIGNATURE] = make_signature(listing, sign).render()
    for name, content in whole.items():
        if isinstance(content, bytes):
            listed[name] = Listed(len(content), hashlib.sha256(content).hexdigest())
            crcs[name] = zlib.crc32(content)
    whole |= {name: contents[name] for name in sorted(contents)}
    places, size = offsets((name, listed[name].size) for name in whole)
    if size > MAX_FILE:
        raise ArchiveError(f"{where}: would have {size:,} bytes, at most {MAX_FILE:,} are allowed. Leave formats out.")
    members = [Member(name, listed[name].size, crcs[name], listed[name].sha256, places[name]) for name in whole]
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent.glob(f".{target.name}.*.tmp"))
        with aside.open("wb") as out, held(aside):
            _write(out, members, whole, where)
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
    """Sign a packed bundle, or sign it anew; its other members stay as they are."""
    unpacked = Unpacked(Archive.open(path))
    try:
        unpacked.get(unpacked.archive.members)
        return write_archive(path, {name: unpacked.folder / name for name in unpacked.archive.members}, sign=key)
    finally:
        unpacked.close()


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
