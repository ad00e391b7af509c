"""How a row is shown to people."""

from __future__ import annotations

from typing import Any

__all__ = ["caption"]


def caption(value: Any) -> str:
    """Return the cells: a line of CSV as it is, of a mapping ``age 63, sex F``."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value
    return ", ".join(f"{name} {cell}" for name, cell in value.items() if cell is not None) or "no cells"
