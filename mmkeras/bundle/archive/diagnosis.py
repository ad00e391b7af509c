"""Says what is wrong with a file that is not as ``mmkeras pack`` writes it. Its findings only word the refusal."""

from __future__ import annotations

import stat
import zipfile
from typing import BinaryIO

from mmkeras.bundle.archive.names import LISTING, check_name, check_names, check_size
from mmkeras.core.errors import ArchiveError

__all__ = ["diagnose"]

_RATIO = 1000


def diagnose(file: BinaryIO, where: str, finding: str) -> ArchiveError:
    """Return the error to raise: the one that explains most.

    Args:
        file: the open file, at any place.
        where: the file, for the message.
        finding: what the reader found wrong, to be read after "the file".
    """
    told = f"{where} {finding}. It was altered or not written by `mmkeras pack`: copy or pack the bundle again."
    try:
        file.seek(0)
        begins = file.read(4)
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            problem = _problem(archive, begins, where)
    except ArchiveError as error:
        return ArchiveError(f"{error} Noticed because the file {finding}.")
    except Exception:  # a damaged zip makes zipfile raise nearly anything, and the refusal stands without it
        if begins == b"PK\x03\x04":
            return ArchiveError(told)
        return ArchiveError(
            f"{where}: is no packed bundle, or was altered: it does not begin with the member {LISTING!r}. "
            "Name a file that `mmkeras pack` wrote, or copy it again."
        )
    if problem:
        return ArchiveError(f"{where}: {problem}. It is not read. Noticed because the file {finding}.")
    return ArchiveError(told)


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
            return f"{name} carries further data beside its content"
    if archive.comment:
        return f"there are {len(archive.comment)} bytes of comment behind the last member {members[-1].filename!r}"
    if begins != b"PK\x03\x04":
        return f"there is data before the first member {members[0].filename!r}"
    return ""
