"""Damage to what JSON and TOML say: wrong types, missing and foreign keys, deep nesting, numbers beyond all bounds."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import tomllib

__all__ = ["json_damage", "lines_damage", "toml_damage"]

_DEEP, _LONG = "@deep@", "@digits@"
NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 10**9, 2**31, 2**63, 2**64, 10**12, 10**400, -(10**400)),
    *(0.5, -0.5, 1e-320, 1e308, float("nan"), float("inf"), float("-inf")),
    *("", " ", "a", ".", "..", "/", "../../etc/passwd", "/etc/passwd", "/dev/zero", "a/b", "C:\\x", "image", "text"),
    *("\x00", "a\x00b", "\ud800", "é\u2028", "a" * 300, "a" * 100_000, "nan", "1e999", "0" * 64, "{index}", "%s%n"),
    *([], {}, [[]], [None], [{}], ["a", "a"], [1, "a", None], {"a": 1}, {"kind": "image"}, {"": {}}, [0] * 300),
    *(_DEEP, _LONG),
)
"""What may stand in the place of any value; two of them are replaced in the text by what Python cannot write itself."""


_MOST = 2_000_000
"""Characters that a repetition may become."""


def json_damage(content: bytes, chance: random.Random) -> bytes:
    """Return JSON with a value or key changed, or the bytes as they are where they are no JSON."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return content
    for _ in range(1 + (chance.random() < 0.3)):
        value = _changed(value, chance)
    try:
        written = json.dumps(value, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, 1)))
    except (ValueError, RecursionError):
        return content
    return _finished(written, chance)


def lines_damage(content: bytes, chance: random.Random) -> bytes:
    """Return JSON lines with one of them changed."""
    lines = content.splitlines(keepends=True)
    if lines:
        place = chance.randrange(len(lines))
        lines[place] = json_damage(lines[place], chance) + b"\n"
    return b"".join(lines)


def toml_damage(content: bytes, chance: random.Random) -> bytes:
    """Return TOML with a value or key changed, or the bytes as they are where they are no TOML."""
    import tomlkit

    try:
        value = _changed(tomllib.loads(content.decode()), chance)
        return _finished(tomlkit.dumps(value), chance)
    except Exception:  # tomlkit refuses in many ways what TOML has no words for
        return content


def _finished(written: str, chance: random.Random) -> bytes:
    depth = chance.choice((10, 500, 5_000, 100_000))
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    filled = "" if opening == "[" else "1"
    written = written.replace(f'"{_DEEP}"', opening * depth + filled + closing * depth)
    written = written.replace(f'"{_LONG}"', "9" * chance.choice((400, 4_000, 5_000, 100_000)))
    return written.encode(errors="surrogatepass")


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container with each of its keys or positions."""
    found, todo = [], [value]
    while todo:
        inner = todo.pop()
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner))) if isinstance(inner, list) else []
        found += [(inner, key) for key in keys]
        todo += [inner[key] for key in keys]
    return found


def _changed(value: Any, chance: random.Random) -> Any:
    places = _places(value)
    # A copy: what is put in may be changed in its turn, and the next input must find it as it is here.
    if not places or chance.random() < 0.03:
        return copy.deepcopy(chance.choice(NASTY))
    inner, key = chance.choice(places)
    kind = chance.choice(("nasty", "nasty", "nasty", "delete", "rename", "wrap", "swap", "text", "repeat", "scale"))
    found = inner[key]
    if kind == "nasty":
        inner[key] = copy.deepcopy(chance.choice(NASTY))
    elif kind == "delete":
        del inner[key]
    elif kind == "rename" and isinstance(inner, dict):
        inner[chance.choice((f"{key}x", str(key)[:-1], "__class__", "", "schema_version"))] = inner.pop(key)
    elif kind == "wrap":
        inner[key] = chance.choice(([found], {"a": found}, [found, found]))
    elif kind == "swap":
        other, at = chance.choice(places)
        inner[key], other[at] = other[at], found
        if _loops(value):
            inner[key] = other[at] = None
    elif kind == "text":
        inner[key] = str(found)[:1000]
    elif kind == "repeat":
        times = max(1, min(50, _MOST // (1 + _length(found))))
        inner[key] = found * times if isinstance(found, list | str) else [found] * times
    elif isinstance(found, int | float):
        # A whole number of hundreds of digits can neither be multiplied by a float nor be divided.
        scaled = (found * 1e9, found / 3) if abs(found) < 1e300 else (0,)
        inner[key] = chance.choice((-found, found + 1, found - 1, *scaled))
    return value


def _length(value: Any) -> int:
    try:
        return len(json.dumps(value))
    except (ValueError, RecursionError):
        return _MOST


def _loops(value: Any) -> bool:
    try:
        json.dumps(value)
    except (ValueError, RecursionError):
        return True
    return False
