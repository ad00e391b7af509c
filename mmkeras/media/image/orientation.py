"""The EXIF orientation of images.

The orientation is read from the first EXIF segment in the head of a JPEG file, or from the eXIf chunk before the data
of a PNG file; XMP is ignored. `file_graph` reads the same bytes by the same rule, so that training, the SavedModel and
the device use the same image. Of a WebP file the EXIF chunk counts, of a TIFF file its own orientation tag, which
Pillow applies while it decodes; both formats reach the graph as upright PNG files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

__all__ = ["EXIF", "HEAD", "JPEG", "ORIENTATION_TAG", "PNG", "chunks", "orientation", "orientation_of", "upright"]

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
"""The first bytes of the files."""
EXIF = b"Exif\0\0"
"""The first bytes of a JPEG segment with EXIF."""
ORIENTATION_TAG = 0x0112
HEAD = 1 << 18
"""Bytes at the beginning of a file that are searched for EXIF."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(data: bytes) -> int:
    """Return the EXIF orientation of a JPEG or PNG file, 1 to 8; 1 without a valid one."""
    head = data[:HEAD]
    if head.startswith(JPEG):
        return _of_tiff(_exif_of_jpeg(head))
    if head.startswith(PNG):
        return _of_tiff(next((head[start:] for kind, start in chunks(head) if kind == b"eXIf"), b""))
    return 1


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, that Pillow keeps with a decoded image; 1 without a valid one."""
    if image.format == "TIFF":  # Pillow has applied it; its version 10 keeps the tag
        return 1
    exif = image.info.get("exif")
    return _of_tiff(exif.removeprefix(EXIF)) if isinstance(exif, bytes) else 1


def upright(image: Image.Image, turned: int) -> Image.Image:
    """Return the image turned and mirrored as EXIF orientation ``turned`` (1 to 8) requires."""
    if turned not in _TURNS:
        return image
    result = image.transpose(_TURNS[turned])
    result.info = {}  # Pillow keeps the EXIF that was just applied
    return result


def chunks(head: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the kind of each chunk of a PNG file before its data, and the offset of its content."""
    at = len(PNG)
    while at + 12 <= len(head) and (kind := head[at + 4 : at + 8]) not in (b"IDAT", b"IEND"):
        yield kind, at + 8
        at += 12 + int.from_bytes(head[at : at + 4], "big")


def _exif_of_jpeg(head: bytes) -> bytes:
    """Return the file from its first EXIF on, searched in the application and comment segments at its beginning."""
    at = 2
    while at + 4 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            break
        if marker == 0xE1 and head[at + 4 : at + 10] == EXIF:
            return head[at + 10 :]
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return b""


def _of_tiff(tiff: bytes) -> int:
    """Return the orientation in the first directory of EXIF's TIFF structure."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    start = struct.unpack_from(f"{order}I", tiff, 4)[0]
    count = struct.unpack_from(f"{order}H", tiff, start)[0] if start + 2 <= len(tiff) else 0
    entries = tiff[start + 2 : start + 2 + 12 * count]
    for at in range(0, len(entries) - 11, 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", entries, at)
        if (tag, kind) == (ORIENTATION_TAG, 3):  # 3: an unsigned number of 16 bits
            return int(value) if 1 <= value <= 8 else 1
    return 1
