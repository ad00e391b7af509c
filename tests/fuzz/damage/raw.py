"""Damage that knows nothing of formats: flipped bits, cuts, insertions, splices, extreme whole numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

__all__ = ["DAMAGES", "damage"]

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_HEAD = 64


def _flip(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    content[chance.choice(places)] ^= 1 << chance.randrange(8)


def _cut(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    del content[chance.choice(places) :]


def _insert(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    place = chance.choice(places)
    content[place:place] = chance.randbytes(chance.randint(1, 64))


def _delete(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    place = chance.choice(places)
    del content[place : place + chance.randint(1, 64)]


def _overwrite(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    place = chance.choice(places)
    content[place : place + 16] = chance.randbytes(len(content[place : place + 16]))


def _copy(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    source, place, length = chance.choice(places), chance.choice(places), chance.randint(1, 256)
    content[place : place + length] = content[source : source + length]


def _append(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    content += chance.randbytes(chance.randint(1, 64))


def _prepend(content: bytearray, places: Sequence[int], chance: random.Random) -> None:
    content[:0] = chance.randbytes(chance.randint(1, 64))


DAMAGES: dict[str, Callable[[bytearray, Sequence[int], random.Random], None]] = {
    "flip": _flip,
    "cut": _cut,
    "insert": _insert,
    "delete": _delete,
    "overwrite": _overwrite,
    "copy": _copy,
    "append": _append,
    "prepend": _prepend,
}
"""Ways to damage a file, by name: each changes the content at one of the given places."""


def damage(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Return a damaged copy.

    Args:
        content: the file.
        others: files whose parts may be spliced in.
        chance: decides what and where; half of the time near the beginning, where headers are.
    """
    kind = chance.choice([*DAMAGES, "number", "number", "splice", "empty", "random", "repeat"])
    if not content or kind in ("empty", "random"):
        return b"" if kind == "empty" and chance.random() < 0.2 else chance.randbytes(chance.randint(0, 200))
    changed = bytearray(content)
    places = range(min(len(content), _HEAD)) if chance.random() < 0.5 else range(len(content))
    if kind == "number":
        width, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
        number = chance.choice(_EXTREMES) % 256**width
        place = chance.choice(places)
        changed[place : place + width] = number.to_bytes(width, order)
    elif kind == "splice":
        other = chance.choice([*others, content])
        changed[chance.choice(places) :] = other[chance.randrange(len(other) + 1) :]
    elif kind == "repeat":
        place = chance.choice(places)
        changed[place:place] = bytes(changed[place : place + chance.randint(1, 64)]) * chance.choice((2, 10, 1000))
    else:
        DAMAGES[kind](changed, places, chance)
    return bytes(changed)
