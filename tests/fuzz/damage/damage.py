"""Chooses how to damage a file: half of the time by its format, else as bytes; often once, sometimes several times."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.fuzz.damage import archives, dicom, pictures, raw, records, text, values

__all__ = ["damaged"]

Damage = Callable[[bytes, random.Random], bytes]

_FORMATS: tuple[tuple[Callable[[str, bytes], bool], Damage], ...] = (
    (lambda name, content: name.endswith(".json"), values.json_damage),
    (lambda name, content: name.endswith(".jsonl"), values.lines_damage),
    (lambda name, content: name.endswith(".toml"), values.toml_damage),
    (lambda name, content: name.endswith((".json", ".jsonl", ".toml", ".csv", ".tsv", ".txt", ".pem")), text.damage),
    (lambda name, content: content.startswith(b"# .PCD"), text.head_damage),
    (lambda name, content: content.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"RIFF", b"BM")), pictures.damage),
    (lambda name, content: content.startswith((b"\x93NUMPY", b"PK\x03\x04")), archives.damage),
    (lambda name, content: name.endswith(".tfrecord"), records.damage),
    (lambda name, content: content[128:132] == b"DICM", dicom.damage),
)
"""Which files a damage is made for, by name or first bytes."""


def damaged(name: str, content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Return a damaged copy of a file, which may by chance be like the original.

    Args:
        name: its name.
        content: its bytes.
        others: contents of other files, to splice in.
        chance: decides everything.
    """
    rounds = 1 + (chance.random() < 0.3) + (chance.random() < 0.1)
    for _ in range(rounds):
        fitting = [damage for fits, damage in _FORMATS if fits(name, content)]
        if fitting and chance.random() < 0.6:
            content = chance.choice(fitting)(content, chance)
        else:
            content = raw.damage(content, others, chance)
    return content
