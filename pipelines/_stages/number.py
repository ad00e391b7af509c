"""A number of docs/results.json: its meaning, its bar and its goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Number", "Unit"]

Unit = Literal["%", "points", "wrong", "failures", "x", "s", "ms", "min", "MB", "relative", "MCC"]
"""Units of numbers: shares are in percent, ``x`` is a ratio of two measurements, ``relative`` a relative difference,
and ``MCC`` is Matthews' correlation coefficient, from -1 to 1."""


@dataclass(frozen=True)
class Number:
    """One number with its bar and goal."""

    meaning: str
    """What was measured, in the tables of the documentation."""
    unit: Unit
    """Unit of value, interval, bar and goal."""
    better: Literal["higher", "lower"]
    """Which direction is better; a value equal to the bar reaches it."""
    bar: float | None
    """What must be reached; None for a number that is only reported, such as the size of a file."""
    goal: float | None
    """What should be reached; None as for the bar."""
    command: str
    """The command that measures and records it, unless `record` is given another."""
    counted: tuple[str, str] = ("", "")
    """Bar and goal as counts, for shares of few trials; they are shown beside the number."""
    whole: bool = False
    """Whether the whole interval must reach the bar, not the value alone."""

    def reaches(self, value: float, limit: float | None) -> bool:
        """Return whether a value is at least as good as a limit; True without a limit."""
        if limit is None:
            return True
        return value >= limit if self.better == "higher" else value <= limit
