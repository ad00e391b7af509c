"""How much of a road user the camera sees behind everything nearer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.driving.simulation.canvas import SCALE, Canvas

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
    """Return what the camera sees, by agent index."""
    visible = np.bincount(canvas.objects.ravel(), minlength=256)
    size = canvas.image.size
    alone = Image.new("L", size, 0)
    draw = ImageDraw.Draw(alone)
    result = {}
    for agent, number in numbers.items():
        outlines = canvas.outlines.get(number)
        if not outlines:
            continue
        x = [value for outline in outlines for value in outline[::2]]
        y = [value for outline in outlines for value in outline[1::2]]
        left, top = (max(int(min(values)), 0) // SCALE * SCALE for values in (x, y))
        right, bottom = (min(int(max(values)) + 2, most) for values, most in ((x, size[0]), (y, size[1])))
        if right <= left or bottom <= top:
            continue
        for outline in outlines:
            draw.polygon(outline, fill=1)
        box = (left, top, right, bottom)
        total = int(np.asarray(alone.crop(box))[::SCALE, ::SCALE].sum())
        alone.paste(0, box)
        if total:
            seen = int(visible[number])
            result[agent] = Sight(seen, min(seen / total, 1.0))
    return result
