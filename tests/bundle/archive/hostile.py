"""Builds packed bundles as an attacker would: with hashes, sizes and directory that fit a forbidden content."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmkeras.bundle.archive.layout import Member, central_directory, end, local_header


def listing(members: Mapping[str, Any], sizes: Mapping[str, int] | None = None) -> bytes:
    """Return a list of hashes that fits the members, or claims other sizes."""
    value = {
        name: {
            "bytes": (sizes or {}).get(name, len(content)),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for name, content in sorted(members.items())
    }
    return (json.dumps({"schema_version": 1, "members": value}, indent=1) + "\n").encode()


def assemble(
    path: Path,
    members: Mapping[str, Any],
    *,
    signature: bytes | None = None,
    listed: bytes | None = None,
    order: Sequence[str] | None = None,
) -> Path:
    """Write a file whose layout is right whatever is in it."""
    content = {"sha256.json": listing(members) if listed is None else listed}
    if signature is not None:
        content["signature.json"] = signature
    names = [*content, *(sorted(members) if order is None else order)]
    whole = {**members, **content}
    out, entries = bytearray(), []
    for name in names:
        crc = zlib.crc32(whole[name])
        out += local_header(name, len(whole[name]), crc)
        entries.append(Member(name, len(whole[name]), crc, "", len(out)))
        out += whole[name]
    directory = central_directory(entries)
    start = len(out)
    path.write_bytes(bytes(out) + directory + end(len(entries), start, len(directory)))
    return path
