"""Writes characters.txt, the rules of `characters`, from Python's own Unicode database.

Maintainers run ``python3.13 mmkeras/media/text/make_characters.py > mmkeras/media/text/characters.txt``. The Unicode
version is that of the interpreter. A new table changes token ids, so bundles must be exported again.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

__all__ = ["CJK", "HANGUL", "alone", "lines", "rule"]

CJK = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
"""Blocks in which BERT makes every character a word."""
HANGUL = range(0xAC00, 0xD7A4)
"""Syllables; their decomposition is computed, not stored."""


def rule(character: str) -> tuple[str, str]:
    """Return BERT's operation on a character and, for ``fold``, the replacement.

    Operations: ``drop``, ``space``, ``mark`` (dropped when lowercasing), ``alone`` (a word of its own), ``fold``
    (replaced when lowercasing) and ``keep``. A character that is `alone` and can be folded has both in the table.

    Source: ``BasicTokenizer`` of the BERT paper's code, applied to single characters. Like Hugging Face's tokenizer it
    drops private-use characters; like Google's it keeps unassigned ones, so that a newer emoji is still a word.
    """
    category = unicodedata.category(character)
    if character in "\t\n\r" or category.startswith("Z"):
        return "space", ""
    if category in ("Cc", "Cf", "Co", "Cs") or character == "\ufffd":
        return "drop", ""
    if category == "Mn":
        return "mark", ""
    folded = "".join(
        part.lower() for part in unicodedata.normalize("NFD", character) if unicodedata.category(part) != "Mn"
    )
    if folded != character:
        return "fold", folded
    return ("alone" if alone(character) else "keep"), ""


def alone(character: str) -> bool:
    """Return whether a character is a word of its own: punctuation, an ASCII symbol or a CJK ideograph."""
    code = ord(character)
    symbol = 33 <= code <= 126 and not character.isalnum()
    cjk = any(first <= code <= last for first, last in CJK)
    return symbol or cjk or unicodedata.category(character).startswith("P")


def lines() -> Iterator[str]:
    """Yield the table: ``version``, ``alone|drop|mark|space first last``, ``fold code parts...``; in hex."""
    yield f"version {unicodedata.unidata_version}"
    wanted = {"alone": alone}
    wanted |= {name: lambda c, name=name: rule(c)[0] == name for name in ("drop", "mark", "space")}  # type: ignore[misc]
    for name, matches in wanted.items():
        first = None
        for code in range(0x110001):
            inside = code < 0x110000 and matches(chr(code))
            if inside and first is None:
                first = code
            elif not inside and first is not None:
                yield f"{name} {first:04X} {code - 1:04X}"
                first = None
    for code in range(0x110000):
        operation, folded = rule(chr(code))
        if operation == "fold" and code not in HANGUL:
            yield " ".join(["fold", f"{code:04X}", *(f"{ord(part):04X}" for part in folded)])


if __name__ == "__main__":
    print("\n".join(lines()))
