"""Markdown for the model card: tables and numbers; text from data is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mmkeras.core.rounding import rounded

__all__ = ["NOT_MEASURED", "interval", "mapping", "number", "plain", "signed", "table"]

NOT_MEASURED = "not measured"
_ESCAPED = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>|#"} | {"\n": " ", "\r": " "})


def plain(value: Any) -> str:
    """Return a text with the characters escaped that Markdown interprets."""
    return str(value).translate(_ESCAPED)


def number(value: Any, form: str = "{:.4f}") -> str:
    """Return a formatted number, or `NOT_MEASURED`; only exactly 1 becomes 1.0000."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return NOT_MEASURED
    return rounded(value, 4) if form == "{:.4f}" else form.format(value)


def signed(value: Any) -> str:
    """Return a change with its sign, or `NOT_MEASURED`."""
    return NOT_MEASURED if number(value) == NOT_MEASURED else rounded(value, 4, signed=True)


def interval(value: Any) -> str:
    """Return an entry of metrics.json as ``0.97 (0.95 to 0.98)``."""
    if not isinstance(value, dict):
        return number(value)
    if value.get("value") is None:
        return NOT_MEASURED
    if value.get("low") is None or value.get("high") is None:
        return f"{number(value['value'])} (interval {NOT_MEASURED})"
    return f"{number(value['value'])} ({number(value['low'])} to {number(value['high'])})"


def mapping(value: Any, *keys: str) -> dict[str, Any]:
    """Return the mapping under nested keys; an empty one where it is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells in Markdown, or `NOT_MEASURED` without rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return f"{NOT_MEASURED.capitalize()}.\n"
    return "\n".join(["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *lines]) + "\n"
