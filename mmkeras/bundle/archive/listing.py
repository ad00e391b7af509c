"""``sha256.json``, the first member: the size and sha256 of every other one. A signature signs its content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmkeras.bundle.archive.names import CODE, LISTING, MANIFEST, SIGNATURE, check_names, check_size
from mmkeras.core.errors import ArchiveError
from mmkeras.storage.text_lines import unique_names

__all__ = ["Listed", "parse", "render", "strict_json"]

SCHEMA_VERSION = 1
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Listed:
    """The entry of a member."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> Listed:
        """Return the entry for a content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())


def render(members: Mapping[str, Listed]) -> bytes:
    """Return the file's content, with the members in the order of the packed bundle: sorted by name."""
    value = {
        "schema_version": SCHEMA_VERSION,
        "members": {name: {"bytes": members[name].size, "sha256": members[name].sha256} for name in sorted(members)},
    }
    return (json.dumps(value, indent=1) + "\n").encode("ascii")


def parse(content: bytes, where: str) -> dict[str, Listed]:
    """Read and check the list of a packed bundle, and return its members in the order of the packed bundle.

    Raises:
        ArchiveError: not the output of `render`, a bad name or size, or a missing manifest or code.
    """
    where_list = f"{where}: {LISTING}"
    value = strict_json(content, where_list)
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise ArchiveError(
            f"{where_list}: schema_version: expected {SCHEMA_VERSION}, got {version!r:.40}. "
            "Read it with the mmkeras that packed it, or pack it again."
        )
    given = value.get("members")
    if not isinstance(given, dict):
        raise ArchiveError(f"{where_list}: members: expected an object, got {type(given).__name__}. Copy it again.")
    check_names([*given, LISTING, SIGNATURE], where)
    members = {}
    for name, entry in given.items():
        size = entry.get("bytes") if isinstance(entry, dict) else None
        sha256 = entry.get("sha256") if isinstance(entry, dict) else None
        if type(size) is not int or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ArchiveError(
                f"{where_list}: members.{name}: expected bytes and a sha256 in hex, got {entry!r:.80}. Copy it again."
            )
        check_size(name, size, where)
        members[name] = Listed(size, sha256)
    for name in (MANIFEST, CODE):
        if name not in members:
            raise ArchiveError(f"{where}: the member {name!r} is missing. Pack the bundle again.")
    if content != render(members):
        raise ArchiveError(f"{where_list}: is not written as `mmkeras pack` writes it. Copy or pack the bundle again.")
    return members


def strict_json(content: bytes, where: str) -> Any:
    """Parse untrusted JSON.

    Raises:
        ArchiveError: not JSON, nested too deeply, or with a duplicate key.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=unique_names)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{where}: cannot be read as JSON: {error}. Copy the bundle again.") from error
