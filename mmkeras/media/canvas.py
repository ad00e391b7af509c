"""Draws overlays: smooth lines with halos, and labels that do not overlap. Pillow and numpy only."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

__all__ = ["Canvas", "class_colour", "depth_colour"]

# Okabe and Ito's palette, as in the figures of the evaluation: distinct with every common colour-vision deficiency.
_CLASSES = {
    "car": "#0072B2",
    "truck": "#CC79A7",
    "bus": "#E69F00",
    "trailer": "#8C6BB1",
    "construction_vehicle": "#F0E442",
    "pedestrian": "#D55E00",
    "bicycle": "#009E73",
    "motorcycle": "#56B4E9",
    "traffic_cone": "#A65628",
    "barrier": "#6B7480",
}
# Yellow, green, blue: the lightness changes evenly, so the order is visible with a colour-vision deficiency too.
_DEPTHS = np.array([[253, 231, 37], [122, 209, 81], [34, 168, 132], [42, 120, 142], [84, 104, 190]], np.float64)
_SMOOTH = 2


def class_colour(name: str) -> str:
    """Return the colour of a class as ``#rrggbb``; a name always has the same colour."""
    if name in _CLASSES:
        return _CLASSES[name]
    return list(_CLASSES.values())[sum(name.encode()) % len(_CLASSES)]


def depth_colour(depth: float, reach: float) -> str:
    """Return the colour of a depth in metres: yellow is near, blue is ``reach`` metres away or more."""
    place = min(max(depth / reach, 0.0), 1.0) * (len(_DEPTHS) - 1)
    low = min(int(place), len(_DEPTHS) - 2)
    red, green, blue = _DEPTHS[low] + (place - low) * (_DEPTHS[low + 1] - _DEPTHS[low])
    return f"#{round(red):02x}{round(green):02x}{round(blue):02x}"


@functools.lru_cache(maxsize=32)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class Canvas:
    """Draws at twice the size and reduces it at the end; all coordinates and widths are pixels of the result."""

    def __init__(self, width: int, height: int, colour: str = "#FFFFFF") -> None:
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * _SMOOTH, height * _SMOOTH), colour)
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._taken: list[tuple[float, float, float, float]] = []

    def paste(self, picture: np.ndarray, left: int, top: int, width: int, height: int) -> None:
        """Put a picture, uint8 (H, W, 3), scaled to a size in pixels of the result."""
        size = (width * _SMOOTH, height * _SMOOTH)
        scaled = Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BICUBIC)
        self._image.paste(scaled, (left * _SMOOTH, top * _SMOOTH))

    def line(
        self,
        points: Sequence[Sequence[float]],
        colour: str,
        width: float = 1.5,
        *,
        dashed: bool = False,
        halo: str = "",
    ) -> None:
        """Draw a line through points (N, 2) of columns and rows, dashed with 5 pixels on and 4 off.

        ``halo`` is the colour of a line one pixel wider beneath it; none when empty.
        """
        pieces = _dashes(points) if dashed else [points]
        for ink, extra in ((halo, 2.0), (colour, 0.0)):
            if ink:
                for piece in pieces:
                    flat = [(float(x) * _SMOOTH, float(y) * _SMOOTH) for x, y in piece]
                    self._draw.line(flat, _rgba(ink), round((width + extra) * _SMOOTH), joint="curve")

    def polygon(self, points: Sequence[Sequence[float]], colour: str, opacity: float = 1.0) -> None:
        """Fill the polygon of points (N, 2)."""
        flat = [(float(x) * _SMOOTH, float(y) * _SMOOTH) for x, y in points]
        self._draw.polygon(flat, _rgba(colour, opacity))

    def dot(self, x: float, y: float, radius: float, colour: str, halo: str = "") -> None:
        """Draw a filled circle, with a thin rim of the halo's colour."""
        for ink, size in ((halo, radius + 1), (colour, radius)):
            if ink:
                box = [(x - size) * _SMOOTH, (y - size) * _SMOOTH, (x + size) * _SMOOTH, (y + size) * _SMOOTH]
                self._draw.ellipse(box, _rgba(ink))

    def ring(self, x: float, y: float, radius: float, colour: str, width: float = 1.0) -> None:
        """Draw a circle."""
        box = [(x - radius) * _SMOOTH, (y - radius) * _SMOOTH, (x + radius) * _SMOOTH, (y + radius) * _SMOOTH]
        self._draw.ellipse(box, outline=_rgba(colour), width=round(width * _SMOOTH))

    def arrow(self, start: Sequence[float], end: Sequence[float], colour: str, width: float = 2.0) -> None:
        """Draw an arrow; one shorter than 3 pixels is left out."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy)
        if length < 3:
            return
        ux, uy = dx / length, dy / length
        head = min(6.0 + width, 0.6 * length)
        base = (end[0] - ux * head, end[1] - uy * head)
        self.line([start, base], colour, width)
        wing = 0.5 * head
        self.polygon(
            [end, (base[0] - uy * wing, base[1] + ux * wing), (base[0] + uy * wing, base[1] - ux * wing)], colour
        )

    def text(
        self, x: float, y: float, text: str, size: float = 12, colour: str = "#1F2933", anchor: str = "lm"
    ) -> None:
        """Write one line; ``anchor`` is Pillow's (``lm``: x is the left end, y the middle)."""
        self._draw.text((x * _SMOOTH, y * _SMOOTH), text, _rgba(colour), _font(size * _SMOOTH), anchor)

    def text_width(self, text: str, size: float = 12) -> float:
        """Return the width of a line in pixels."""
        return float(_font(size * _SMOOTH).getlength(text)) / _SMOOTH

    def keep_free(self, left: float, top: float, right: float, bottom: float) -> None:
        """Keep labels out of this area."""
        self._taken.append((left, top, right, bottom))

    def label(
        self,
        texts: Sequence[str],
        places: Sequence[tuple[float, float]],
        colour: str,
        area: tuple[float, float, float, float],
        size: float = 12,
    ) -> bool:
        """Draw a label at the first place where it covers no other one; return whether it was drawn.

        The first of ``texts``, longest first, that fits is used. ``places`` are left and bottom ends to try, the best
        first; each is moved into the area: left, top, right, bottom. ``colour`` is the background; the text is black or
        white.
        """
        height = size + 5
        for text in texts:
            width = self.text_width(text, size) + 6
            for x, y in places:
                left = min(max(x, area[0]), area[2] - width)
                top = min(max(y - height, area[1]), area[3] - height)
                box = (left, top, left + width, top + height)
                if left < area[0] or any(_overlap(box, other) for other in self._taken):
                    continue
                self._taken.append(box)
                corners = [(left, top), (box[2], top), (box[2], box[3]), (left, box[3])]
                self.polygon(corners, colour, 0.92)
                self.text(left + 3, top + height / 2, text, size, _writing(colour), "lm")
                return True
        return False

    def array(self) -> np.ndarray:
        """Return the picture, uint8 (height, width, 3)."""
        return np.asarray(self._image.reduce(_SMOOTH))


def _rgba(colour: str, opacity: float = 1.0) -> tuple[int, int, int, int]:
    red, green, blue, alpha = ImageColor.getcolor(colour, "RGBA")  # type: ignore[misc]
    return red, green, blue, round(alpha * opacity)


def _writing(ground: str) -> str:
    red, green, blue, _ = _rgba(ground)
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#FFFFFF"


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _dashes(points: Sequence[Sequence[float]], on: float = 5.0, off: float = 4.0) -> list[list[tuple[float, float]]]:
    pieces = []
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        # Limited: an end far outside of the picture would need a million dashes.
        count = min(int(length / (on + off)) + 1, 400)
        for i in range(count):
            a, b = i * (on + off) / max(length, 1e-9), min((i * (on + off) + on) / max(length, 1e-9), 1.0)
            pieces.append([(x0 + a * (x1 - x0), y0 + a * (y1 - y0)), (x0 + b * (x1 - x0), y0 + b * (y1 - y0))])
    return pieces
