"""Explains errors of a full or read-only disk, from any library."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

__all__ = ["explain"]

_KINDS = {
    errno.ENOSPC: ("the disk is full", ("No space left on device", "ENOSPC", "errno = 28")),
    errno.EDQUOT: ("the disk quota is used up", ("Disk quota exceeded", "errno = 122")),
    errno.EFBIG: ("a file may not become as large (ulimit -f)", ("File too large", "errno = 27")),
    errno.EROFS: ("the file system is read-only", ("Read-only file system", "errno = 30")),
    errno.EACCES: ("this user may not write there", ("Permission denied", "errno = 13")),
}
# TensorFlow names the device before the file: {{function_node ..._device_/job:localhost/replica:0/...}} a/b; No space.
_DEVICE = re.compile(r"\{\{[^}]*\}\}|/job:\S*")
_ADVICE = {errno.ENOSPC: "Make room", errno.EDQUOT: "Make room", errno.EFBIG: "Raise the limit"}


def explain(error: BaseException, folder: Path | None = None) -> str:
    """Return the cause and what to do, or an empty text where the error is not about the disk.

    ``folder`` is the folder of the write, for errors that do not name it.
    """
    text = str(error)
    known = getattr(error, "errno", None)
    found = [kind for kind, (_, signs) in _KINDS.items() if kind == known or any(sign in text for sign in signs)]
    if not found:
        return ""
    number, what = found[0], _KINDS[found[0]][0]
    place = _place(error, text) or folder
    room = ""
    if _ADVICE.get(number) == "Make room" and place is not None and (there := _existing(place)) is not None:
        usage = shutil.disk_usage(there)
        room = f" ({usage.free / 2**20:,.1f} MiB of {usage.total / 2**20:,.1f} are free)"
    advice = _ADVICE.get(number, "Make it writable")
    return (
        f"{place or 'A file'} cannot be written: {what}{room}. {advice}, or name another folder (--runs, --out, "
        "--data.folder, --export.folder). Incomplete files are never read: the same command continues from finished "
        "parts, a run with --resume."
    )


def _place(error: BaseException, text: str) -> Path | None:
    name = getattr(error, "filename", None)
    if isinstance(name, str | bytes):
        return Path(os.fsdecode(name))
    text = _DEVICE.sub("", text).strip()
    found = re.search(r"name = '([^']+)'|((?:/|\.\.?/)[^\s;:,'\"]+)|^([\w.\-]+/[^\s;:,'\"]+)", text)
    return Path(next(group for group in found.groups() if group)) if found else None


def _existing(path: Path) -> Path | None:
    return next((each for each in (path, *path.absolute().parents) if each.exists()), None)
