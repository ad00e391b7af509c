"""How a text is shown in reports."""

from __future__ import annotations

from typing import Any

__all__ = ["caption"]


def caption(value: Any) -> str:
    """Return the text, in quotation marks if it is blank."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if text.strip() else f'"{text}"'
