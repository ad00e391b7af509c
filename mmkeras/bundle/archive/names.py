"""Checks of member names, and size limits of a packed bundle and its members."""

from __future__ import annotations

from collections.abc import Iterable

from mmkeras.core.errors import ArchiveError

__all__ = [
    "CODE",
    "LISTING",
    "MANIFEST",
    "MAX_FILE",
    "MAX_LISTING",
    "MAX_MANIFEST",
    "MAX_MEMBERS",
    "MAX_SIGNATURE",
    "SIGNATURE",
    "SUFFIX",
    "check_name",
    "check_names",
    "check_size",
]

SUFFIX = ".mmk"
LISTING = "sha256.json"
"""The first member: size and sha256 of all others."""
SIGNATURE = "signature.json"
"""The second member of a signed bundle."""
MANIFEST = "manifest.json"
CODE = "__main__.py"
"""The code that Python runs when it is given the file."""

MAX_FILE = (1 << 32) - 1
"""Bytes of a whole file: the limit of a zip without its 64-bit extension."""
MAX_MEMBERS = 10_000
MAX_LISTING = 4 << 20
"""Bytes of ``sha256.json``."""
MAX_SIGNATURE = 4 << 10
"""Bytes of ``signature.json``."""
MAX_MANIFEST = 4 << 20
"""Bytes of ``manifest.json``, ``export.json`` and every other JSON file at the top."""
_MAX_NAME = 240
_FORBIDDEN = frozenset('\\:*?"<>|')


def check_name(name: str, where: str) -> None:
    """Refuse a name that leads out of the folder, or means another file on another system.

    Raises:
        ArchiveError: absolute, with ``..``, an empty part, a character beyond printable ASCII, or too long.
    """
    parts = name.split("/")
    problem = ""
    if name.startswith("/") or (len(name) > 1 and name[1] == ":") or name.startswith("\\"):
        problem = "is an absolute path"
    elif ".." in parts or ".." in name.replace("\\", "/").split("/"):
        problem = "leads out of the bundle"
    elif not name or "" in parts or "." in parts:
        problem = "has an empty part"
    elif len(name) > _MAX_NAME:
        problem = f"has {len(name)} characters, at most {_MAX_NAME} are allowed"
    elif any(not " " <= character <= "~" or character in _FORBIDDEN for character in name):
        problem = 'holds a character that not every system allows; expected printable ASCII without \\ : * ? " < > |'
    elif any(part.endswith((" ", ".")) for part in parts):
        problem = "has a part that ends with a blank or a dot, which not every system allows"
    if problem:
        raise ArchiveError(f"{where}: the member {name[:_MAX_NAME]!r} {problem}. It is not read.")


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse bad names, names that differ only in case, and a name that is a file and a folder."""
    names = list(names)
    if len(names) > MAX_MEMBERS:
        raise ArchiveError(f"{where}: expected at most {MAX_MEMBERS} members, got {len(names)}.")
    seen: dict[str, str] = {}
    for name in names:
        check_name(name, where)
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            what = "is there twice" if other == name else f"and {other!r} are one file where case is ignored"
            raise ArchiveError(f"{where}: the member {name!r} {what}. It is not read.")
    for name in names:
        parts = name.casefold().split("/")
        for length in range(1, len(parts)):
            if folder := seen.get("/".join(parts[:length])):
                raise ArchiveError(f"{where}: the member {folder!r} is a file and the folder of {name!r}.")


def check_size(name: str, size: int, where: str) -> None:
    """Refuse a member above the size limit of its kind."""
    limit = MAX_FILE
    if name == LISTING:
        limit = MAX_LISTING
    elif name == SIGNATURE:
        limit = MAX_SIGNATURE
    elif "/" not in name and name.endswith(".json"):
        limit = MAX_MANIFEST
    if not 0 <= size <= limit:
        raise ArchiveError(f"{where}: the member {name!r} has {size:,} bytes, at most {limit:,} are allowed.")
