"""Damage to pictures: sizes of a gigapixel, chunks and segments that lie, checksums that fit all the same."""

from __future__ import annotations

import functools
import random
import struct
import zlib

from tests.fuzz.damage import raw

__all__ = ["damage"]

_SIDES = (0, 1, 7, 255, 256, 4_000, 9_459, 9_460, 20_000, 65_500, 65_535, 100_000, 2**31 - 1, 2**32 - 1)
_FRAMES = (0xC0, 0xC1, 0xC2)
"""JPEG segments that hold the size."""


def damage(content: bytes, chance: random.Random) -> bytes:
    """Return a picture damaged in its structure."""
    if content.startswith(b"\x89PNG"):
        return _png(content, chance)
    if content.startswith(b"\xff\xd8"):
        return _jpeg(content, chance)
    if content.startswith(b"GIF8"):
        return _sized(content, 6, "<H", chance)
    if content.startswith(b"BM"):
        return _sized(content, 18, "<i", chance)
    return raw.damage(content[:40], (), chance) + content[40:]


def _sized(content: bytes, place: int, kind: str, chance: random.Random) -> bytes:
    limit = 256 ** struct.calcsize(kind) // 2 - 1
    width, height = (struct.pack(kind, min(chance.choice(_SIDES), limit)) for _ in range(2))
    return content[:place] + width + height + content[place + 2 * len(width) :]


def _png(content: bytes, chance: random.Random) -> bytes:
    chunks, place = [], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    if not chunks:
        return content
    at = chance.randrange(len(chunks))
    kind, data = chunks[at]
    what = chance.choice(("size", "size", "header", "inside", "inside", "drop", "twice", "swap", "bomb"))
    if what == "size":
        sides = struct.pack(">2I", chance.choice(_SIDES), chance.choice(_SIDES))
        chunks[0] = (chunks[0][0], sides + chunks[0][1][8:])
    elif what == "header":
        chunks[0] = (chunks[0][0], chunks[0][1][:8] + bytes(chance.choice((0, 1, 2, 3, 4, 6, 8, 16)) for _ in range(5)))
    elif what == "inside":
        chunks[at] = (kind, raw.damage(data, (), chance))
    elif what == "drop":
        del chunks[at]
    elif what == "twice":
        chunks.insert(at, (kind, data))
    elif what == "swap":
        other = chance.randrange(len(chunks))
        chunks[at], chunks[other] = chunks[other], chunks[at]
    else:
        # 20 MB of text or of pixels in 20 kB.
        packed = _zeros()
        bomb = chance.choice(((b"zTXt", b"a\0\0" + packed), (b"iCCP", b"a\0\0" + packed), (b"IDAT", packed)))
        chunks.insert(min(1, len(chunks)), bomb)
    out = [content[:8]]
    for kind, data in chunks:
        out += [struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))]
    return b"".join(out)


@functools.cache
def _zeros() -> bytes:
    return zlib.compress(bytes(20_000_000), 9)


def _jpeg(content: bytes, chance: random.Random) -> bytes:
    segments, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA:
        segments.append(place)
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    if not segments:
        return content
    changed = bytearray(content)
    frame = next((at for at in segments if content[at + 1] in _FRAMES), None)
    if frame is not None and chance.random() < 0.5:
        sides = (min(chance.choice(_SIDES), 0xFFFF) for _ in range(2))
        changed[frame + 5 : frame + 9] = struct.pack(">2H", *sides)
    else:
        at = chance.choice(segments)
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        changed[at + 2 : end] = raw.damage(content[at + 2 : end], (), chance)
    return bytes(changed)
