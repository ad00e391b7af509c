"""``sha256.json``: the size and sha256 of every member. It is the first one, and what a signature signs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmkeras.bundle.archive.names import CODE, LISTING, MANIFEST, SIGNATURE, check_names, check_size
from mmkeras.core.errors import ArchiveError

__all__ = ["Listed", "parse", "render", "strict_json"]

SCHEMA_VERSION = 1
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Listed:
    """What the list says about a member."""

    size: int
    sha256: str


def render(members: Mapping[str, Listed]) -> bytes:
    """Return the file's content; the members are sorted by name, as they stand in the file."""
    value = {
        "schema_version": SCHEMA_VERSION,
        "members": {name: {"bytes": members[name].size, "sha256": members[name].sha256} for name in sorted(members)},
    }
    return (json.dumps(value, indent=1) + "\n").encode("ascii")


def parse(content: bytes, where: str) -> dict[str, Listed]:
    """Read and check the list of a packed bundle, and return its members in the order of the file.

    Raises:
        ArchiveError: not the output of `render`, a bad name or size, or no manifest and no code among the members.
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
    """Parse untrusted JSON; a duplicate key or deep nesting is an error.

    Raises:
        ArchiveError: not JSON.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            doubled = next(name for name in names if names.count(name) > 1)
            raise ArchiveError(f"{where}: {doubled!r:.80} is there twice. It is not read.")
        return found

    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{where}: cannot be read as JSON: {error}. Copy the bundle again.") from error
