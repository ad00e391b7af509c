"""What layers of attention have in common."""

from __future__ import annotations

from typing import Any

__all__ = ["KeepsScores"]


class KeepsScores:
    """Marks a layer whose second output holds its attention weights, float (B, heads, queries, keys)."""

    name: str
    output: Any
