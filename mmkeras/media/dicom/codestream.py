"""How large a compressed image says it is: a decoder allocates by that, whatever the DICOM header declares.

JPEG (ITU-T T.81 B.2.2) and JPEG-LS (T.87 C.1.1) have a frame header, JPEG 2000 (T.800 A.5.1) and High-Throughput
JPEG 2000 a SIZ segment. RLE has no size of its own.
"""

from __future__ import annotations

__all__ = ["declared_size"]

START, END_OF_FRAME_HEADERS = b"\xff\xd8", 0xDA
FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})
"""SOF0 to SOF15 without the three codes that mean something else, and SOF55 of JPEG-LS."""
CODESTREAM, BOXES = b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  "


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width of a compressed image, or ``None`` where it is of another kind or has no header."""
    if data.startswith(START):
        return _jpeg(data)
    # A whole JP2 file instead of its codestream is not allowed, and happens.
    start = data.find(CODESTREAM, 0, 65536) if data.startswith(BOXES) else 0
    if start >= 0 and data[start : start + 4] == CODESTREAM and len(data) >= start + 24:
        right, bottom, left, top = (int.from_bytes(data[at : at + 4], "big") for at in range(start + 8, start + 24, 4))
        return bottom - top, right - left
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in FRAME_HEADERS:
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (position + 5, position + 7))
            return height, width
        if marker == END_OF_FRAME_HEADERS:
            return None
        if marker == 0xFF:  # a fill byte
            position += 1
        else:
            position += 2 + max(int.from_bytes(data[position + 2 : position + 4], "big"), 2)
    return None
