"""Paths of DICOM frames.

A path may end in ``#3``: the third frame of the file, counted from 1 as in DICOM. A file of several frames needs it.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

__all__ = ["split_frame"]


def split_frame(value: Any) -> tuple[Any, int | None]:
    """Return the path without its frame, and the frame's number from 1; an existing file of the whole name wins."""
    if not isinstance(value, (str, os.PathLike)):
        return value, None
    found = re.fullmatch(r"(.+)#(\d{1,9})", os.fspath(value), re.DOTALL)
    with contextlib.suppress(OSError):  # a name too long to exist
        if found is None or Path(value).exists():
            return value, None
    return (found[1], int(found[2])) if found else (value, None)
