"""A page as the bytes of a record: its numbers, its cleaned words, and its JSON, which a device reads. numpy only."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from mmkeras.core.errors import DataError
from mmkeras.media.document.page import Page, read_page, write_page
from mmkeras.modalities.document.numbers import cleaned, features_of

__all__ = ["LINE", "MAGIC", "PART", "is_packet", "page_of", "write_packet"]

MAGIC = b"mmkeras page 1"
PART = b"\x1e"
"""Between the parts: magic, numbers, segments, cleaned words, JSON. No cleaned word and no JSON has this character."""
LINE = "\n"
"""Between cleaned words."""


def write_packet(page: Page, frame: str, lowercase: bool) -> bytes:
    """Return the record of a page.

    Numbers (float32) and segments (int32) are little-endian in URL-safe base64: `tf.io.decode_base64` reads that alone.
    """
    page = read_page(write_page(page))  # JSON rounds: numbers of the page that a device reads
    numbers = base64.urlsafe_b64encode(features_of(page, frame).astype("<f4").tobytes())
    segments = base64.urlsafe_b64encode(page.segments.astype("<i4").tobytes())
    text = LINE.join(cleaned(page.words, lowercase)).encode()
    return PART.join((MAGIC, numbers, segments, text, write_page(page).encode()))


def is_packet(path: Path) -> bool:
    """Return whether a file is a record; a file that cannot be read is not."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def page_of(value: Any) -> Page:
    """Return the page of a record, or of any form that `read_page` takes.

    Raises:
        DataError: no page.
    """
    named = isinstance(value, str) and not value.lstrip().startswith("{")
    if (named or isinstance(value, os.PathLike)) and is_packet(Path(value)):
        value = Path(value).read_bytes()  # a record among the golden samples of a bundle
    if isinstance(value, bytes) and value.startswith(MAGIC):
        parts = value.split(PART)
        if len(parts) != 5:
            raise DataError(f"Expected the 5 parts of a page's record, got {len(parts)}. Convert the data again")
        return read_page(parts[4])
    return read_page(value)
