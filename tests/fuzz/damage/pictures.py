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
    if content[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(content, chance)
    if content.startswith(b"RIFF"):
        return _webp(content, chance)
    return raw.damage(content[:40], (), chance) + content[40:]


def _sized(content: bytes, place: int, kind: str, chance: random.Random) -> bytes:
    limit = 256 ** struct.calcsize(kind) // 2 - 1
    width, height = (struct.pack(kind, min(chance.choice(_SIDES), limit)) for _ in range(2))
    return content[:place] + width + height + content[place + 2 * len(width) :]


def _tiff(content: bytes, chance: random.Random) -> bytes:
    """Damage one entry of the directory: its tag, type, count or value; or the values, or the link to the next."""
    order = "<" if content.startswith(b"II") else ">"
    start = struct.unpack_from(f"{order}I", content, 4)[0]
    count = struct.unpack_from(f"{order}H", content, start)[0] if start + 2 <= len(content) else 0
    end = start + 2 + 12 * count
    if not count or end + 4 > len(content):
        return content
    changed = bytearray(content)
    entry = start + 2 + 12 * chance.randrange(count)
    what = chance.choice(("tag", "type", "count", "value", "value", "value", "next", "inside"))
    number = chance.choice((*_SIDES, *range(12), start, len(content)))
    if what in ("tag", "type"):
        tags = (256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 330, 338, 339, 347)
        place, new = (entry, chance.choice(tags)) if what == "tag" else (entry + 2, chance.randrange(20))
        struct.pack_into(f"{order}H", changed, place, new)
    elif what == "inside":
        changed[8:start] = raw.damage(bytes(changed[8:start]), (), chance)[: max(start - 8, 0)].ljust(start - 8, b"\0")
    else:
        place = {"count": entry + 4, "value": entry + 8, "next": end}[what]
        struct.pack_into(f"{order}I", changed, place, number & 0xFFFFFFFF)
    return bytes(changed)


def _webp(content: bytes, chance: random.Random) -> bytes:
    """Damage the content of one chunk, or the size that it states."""
    chunks, place = [], 12
    while place + 8 <= len(content):
        chunks.append(place)
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    if not chunks:  # another damage has cut the file before its first chunk
        return raw.damage(content, (), chance)
    at = chance.choice(chunks)
    changed = bytearray(content)
    if chance.random() < 0.3:
        struct.pack_into("<I", changed, at + 4, chance.choice(_SIDES) & 0xFFFFFFFF)
    else:
        head = slice(at + 8, at + 20)
        changed[head] = bytes(raw.damage(bytes(changed[head]), (), chance)[:12]).ljust(12, b"\0")
    return bytes(changed)


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
