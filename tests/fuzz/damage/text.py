"""Damage to lines and words: numbers, cells, line ends, brackets without an end."""

from __future__ import annotations

import random
import re

__all__ = ["damage", "head_damage"]

_NUMBERS = (
    *(
        b"0",
        b"-1",
        b"1",
        b"2",
        b"65536",
        b"65537",
        b"4294967295",
        b"4294967296",
        b"9999999999",
        b"99999999999999999999",
    ),
    *(b"nan", b"inf", b"-inf", b"1e999", b"1e-999", b"0x10", b"1_000", b"", b"a", b"\xd9\xa1", b"9" * 5000, b"1.5"),
)
_ODD = (
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\x0b", b"\xe2\x80\xa8", b'"', b"'", b"\\"),
    *(b",", b"\t", b"[" * 3000, b"(" * 100_000, b"-" * 100_000, b"{" * 500, b"#", b"=", b"a" * 200_000, b"\n" * 10_000),
)
_WORD = re.compile(rb"[^\s,;:=\[\](){}\"']+")
_HEAD = 600


def damage(content: bytes, chance: random.Random) -> bytes:
    """Return a text with a line, a word or a few characters changed."""
    kind = chance.choice(("word", "word", "word", "odd", "line", "line"))
    if kind == "line":
        lines = content.split(b"\n")
        place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        what = chance.choice(("delete", "twice", "swap", "many", "cut"))
        if what == "delete":
            del lines[place]
        elif what == "twice":
            lines.insert(other, lines[place])
        elif what == "swap":
            lines[place], lines[other] = lines[other], lines[place]
        elif what == "many":
            lines[place:place] = [lines[place]] * chance.choice((10, 1000))
        else:
            lines[place] = lines[place][: chance.randrange(len(lines[place]) + 1)]
        return b"\n".join(lines)
    if kind == "odd":
        place = chance.randrange(len(content) + 1)
        return content[:place] + chance.choice(_ODD) + content[place:]
    words = list(_WORD.finditer(content))
    if not words:
        return content
    word = chance.choice(words)
    new = chance.choice((*_NUMBERS, chance.choice(words)[0], word[0] * 2, word[0].upper()))
    return content[: word.start()] + new + content[word.end() :]


def head_damage(content: bytes, chance: random.Random) -> bytes:
    """Return a file with a header of text damaged in it, and the bytes behind it as they were."""
    return damage(content[:_HEAD], chance) + content[_HEAD:]
