"""How much of a road user the camera sees behind everything nearer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.simulation.camera import Canvas

__all__ = ["Sight", "sight"]

LEVELS = (0.4, 0.6, 0.8)
PIXELS_PER_POINT = 9.0


@dataclass(frozen=True)
class Sight:
    """What the camera sees of one road user."""

    pixels: int
    """Visible pixels of the full-size picture."""
    share: float
    """Visible share of what lies within the picture, 0 to 1."""

    @property
    def level(self) -> int:
        """The nuScenes visibility: 1 to 40 %, 2 to 60 %, 3 to 80 %, 4 to 100 %."""
        return 1 + sum(self.share > level for level in LEVELS)

    @property
    def lidar_points(self) -> int:
        """Stands in for the number of lidar points, which nothing here measures: visible pixels over nine."""
        return int(self.pixels / PIXELS_PER_POINT)


def sight(canvas: Canvas, numbers: dict[int, int]) -> dict[int, Sight]:
    """Return what the camera sees, by agent index.

    Args:
        canvas: a finished picture with remembered outlines.
        numbers: values in the object map by agent index.
    """
    size = (canvas.view.width, canvas.view.height)
    visible = np.bincount(np.asarray(canvas.map).ravel(), minlength=256)
    result = {}
    for agent, number in numbers.items():
        outlines = canvas.outlines.get(number)
        if not outlines:
            continue
        x = [value for outline in outlines for value in outline[::2]]
        y = [value for outline in outlines for value in outline[1::2]]
        left, top = max(int(min(x)), 0), max(int(min(y)), 0)
        right, bottom = min(int(max(x)) + 2, size[0]), min(int(max(y)) + 2, size[1])
        if right <= left or bottom <= top:
            continue
        alone = Image.new("L", (right - left, bottom - top), 0)
        draw = ImageDraw.Draw(alone)
        for outline in outlines:
            draw.polygon([v - (top if i % 2 else left) for i, v in enumerate(outline)], fill=1)
        total = int(np.asarray(alone).sum())
        if total:
            seen = int(visible[number])
            result[agent] = Sight(seen, min(seen / total, 1.0))
    return result
