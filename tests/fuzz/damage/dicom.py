"""Damage to elements of DICOM files: lengths that lie, sizes and numbers of frames beyond all bounds, wrong kinds."""

from __future__ import annotations

import random
import re

from tests.fuzz.damage import raw

__all__ = ["damage"]

_ELEMENT = re.compile(rb"(?:\x02\x00|\x08\x00|\x28\x00|\xe0\x7f|\xfe\xff)[\x00-\xff]{2}")
"""The tag of an element of the groups that are read: how the file is coded, what it shows, its pixels, its items."""
_KINDS = (b"US", b"SS", b"OB", b"OW", b"SQ", b"UN", b"DS", b"IS", b"OF", b"FD", b"UI", b"ZZ", b"\x00\x00")
_NUMBERS = (0, 1, 2, 3, 7, 8, 12, 16, 32, 64, 255, 4096, 32767, 65535, 2**31 - 1, 2**32 - 2, 2**32 - 1)


def damage(content: bytes, chance: random.Random) -> bytes:
    """Return a file with the tag, the kind, the length or the value of an element changed, or any bytes."""
    places = [found.start() for found in _ELEMENT.finditer(content, 132)]
    if not places or chance.random() < 0.2:
        return content[:132] + raw.damage(content[132:], (), chance)
    place = chance.choice(places)
    what = chance.choice(("tag", "kind", "length", "length", "value", "value", "value"))
    if what == "tag":
        at, new = place + 2, content[(other := chance.choice(places)) + 2 : other + 4]
    elif what == "kind":
        at, new = place + 4, chance.choice(_KINDS)
    else:
        width = chance.choice((2, 4))
        at, new = (
            place + (6 if what == "length" else 8),
            (chance.choice(_NUMBERS) % 256**width).to_bytes(width, "little"),
        )
    return content[:at] + new + content[at + len(new) :]
