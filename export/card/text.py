"""Markdown for the model card: tables and numbers, with all text that came from data escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mmkeras.core.rounding import rounded

__all__ = ["NOT_MEASURED", "interval", "mapping", "number", "plain", "signed", "table"]

NOT_MEASURED = "not measured"
_ESCAPED = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>|#"} | {"\n": " ", "\r": " "})


def plain(value: Any) -> str:
    """Return a text that Markdown shows as it is."""
    return str(value).translate(_ESCAPED)


def number(value: Any, form: str = "{:.4f}") -> str:
    """Return a number, or that it was not measured; only exactly 1 is shown as 1.0000."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return NOT_MEASURED
    return rounded(value, 4) if form == "{:.4f}" else form.format(value)


def signed(value: Any) -> str:
    """Return a change with its sign, or that it was not measured."""
    return NOT_MEASURED if number(value) == NOT_MEASURED else rounded(value, 4, signed=True)


def interval(value: Any) -> str:
    """Return ``0.97 (0.95 to 0.98)`` from an entry of metrics.json; the value alone where it has no interval."""
    if not isinstance(value, dict):
        return number(value)
    if value.get("value") is None:
        return NOT_MEASURED
    if value.get("low") is None or value.get("high") is None:
        return f"{number(value['value'])} (interval {NOT_MEASURED})"
    return f"{number(value['value'])} ({number(value['low'])} to {number(value['high'])})"


def mapping(value: Any, *keys: str) -> dict[str, Any]:
    """Return the mapping below some keys; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, or that nothing of it was measured. Cells are Markdown already."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    if not lines:
        return f"{NOT_MEASURED[0].upper()}{NOT_MEASURED[1:]}.\n"
    return "\n".join(["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns), *lines]) + "\n"
