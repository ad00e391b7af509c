"""A table as data; `mmkeras.runtime.tables` prints it with rich or as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mmkeras.core.terminal import plain

__all__ = ["Cell", "Grid"]


@dataclass(frozen=True)
class Cell:
    """A text with a colour."""

    text: str
    style: str = ""
    """A style of rich, for example ``green`` or ``bold red``."""


@dataclass
class Grid:
    """A table with a title."""

    title: str
    columns: tuple[str, ...]
    right: Sequence[str] = ()
    """Columns aligned to the right."""
    rows: list[tuple[Cell, ...]] = field(default_factory=list)

    def add(self, *cells: str | Cell) -> None:
        """Add a row."""
        row = (cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)
        # A bundle's files may hold control characters of a terminal, which could hide a verdict.
        self.rows.append(tuple(Cell(plain(cell.text), cell.style) for cell in row))

    def text(self) -> str:
        """Return the table as plain text; cells may have several lines."""
        blocks = [
            [[column] for column in self.columns],
            *([cell.text.split("\n") for cell in row] for row in self.rows),
        ]
        widths = [max(len(line) for block in blocks for line in block[i]) for i in range(len(self.columns))]
        lines = [self.title] if self.title else []
        for number, block in enumerate(blocks):
            for line in range(max(len(cell) for cell in block)):
                parts = [cell[line] if line < len(cell) else "" for cell in block]
                shown = [
                    part.rjust(width) if column in self.right else part.ljust(width)
                    for part, width, column in zip(parts, widths, self.columns, strict=True)
                ]
                lines.append("  ".join(shown).rstrip())
            if number == 0:
                lines.append("  ".join("-" * width for width in widths))
        return "\n".join(lines) + "\n"
