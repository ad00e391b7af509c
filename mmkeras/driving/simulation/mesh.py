"""Shapes made of flat faces and discs, drawn in a fixed order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Colour", "Lamp", "Mesh", "MeshBuilder", "shade"]

Point = tuple[float, float, float]
Colour = tuple[float, float, float]


def shade(colour: tuple[float, ...], factor: float) -> Colour:
    """Return a colour with its brightness scaled."""
    red, green, blue = (min(255.0, value * factor) for value in colour[:3])
    return (red, green, blue)


@dataclass(frozen=True)
class Lamp:
    """A light on a shape."""

    position: Point
    """In the shape's frame, in metres."""
    colour: Colour
    """RGB, 0 to 255."""
    radius: float
    forward: float
    """1: shines along x; -1: against it; 0: in all directions."""
    power: float
    """Brightness relative to a tail light."""


@dataclass(frozen=True)
class Mesh:
    """A shape in its own frame: x forward, y left, z up, origin on the ground below its centre."""

    points: np.ndarray
    """Corners of all faces (V, 3) in metres; a disc has one, its centre."""
    start: list[int]
    """First corner of every face and, last, V."""
    normal: np.ndarray
    """Outward unit normal per face (F, 3); zero for a face that is visible from both sides."""
    centre: np.ndarray
    """Centre of every face (F, 3)."""
    colour: np.ndarray
    radius: list[float]
    """Radius of a disc in metres, 0 for a polygon."""
    detail: list[bool]
    """Whether a face lies on another face and does not change the outline."""
    part: np.ndarray
    """Number of each face's part (F,); parts are drawn from far to near."""
    parts: np.ndarray
    """Centre of every part (P, 3)."""
    flat: np.ndarray
    """Bool (F,): whether a face is visible from both sides."""
    height: float
    lamps: list[Lamp]


@dataclass
class MeshBuilder:
    """Collects faces in the order of drawing."""

    faces: list[tuple[Sequence[Point], Colour, float, bool, bool, int]] = field(default_factory=list)
    """Corners, colour, radius of a disc or 0, whether a detail, whether visible from both sides, number of the part."""
    lamps: list[Lamp] = field(default_factory=list)
    part: int = 0

    def face(self, points: Sequence[Point], colour: Colour, *, detail: bool = False, both: bool = False) -> None:
        """Add a convex polygon, counter-clockwise as seen from outside; ``both``: visible from both sides."""
        self.faces.append((points, colour, 0.0, detail, both, self.part))

    def panel(self, side: int, left: float, right: float, y: float, low: float, high: float, colour: Colour) -> None:
        """Add a detail: an upright rectangle at ``y`` on the right (``side`` -1) or left side (1) of a shape."""
        quad = [(left, y, low), (right, y, low), (right, y, high), (left, y, high)]
        self.face(quad if side < 0 else quad[::-1], colour, detail=True)

    def disc(self, centre: Point, radius: float, colour: Colour, *, detail: bool = False) -> None:
        """Add a disc that always faces the camera."""
        self.faces.append(([centre], colour, radius, detail, True, self.part))

    def prism(
        self, bottom: list[tuple[float, float]], low: float, high: float, colour: Colour,
        *, top: list[tuple[float, float]] | None = None, lid: Colour | None = None,
    ) -> None:  # fmt: skip
        """Add an upright prism or frustum over an outline that runs counter-clockwise as seen from above."""
        upper = top or bottom
        for i in range(len(bottom)):
            j = (i + 1) % len(bottom)
            self.face([(*bottom[i], low), (*bottom[j], low), (*upper[j], high), (*upper[i], high)], colour)
        self.face([(*corner, high) for corner in upper], lid or colour)

    def box(
        self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], colour: Colour,
        *, lid: Colour | None = None,
    ) -> None:  # fmt: skip
        """Add a box between two corners."""
        self.prism([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])], z[0], z[1], colour, lid=lid)

    def lamp(self, position: Point, colour: Colour, radius: float, forward: float, power: float) -> None:
        """Add a light."""
        self.lamps.append(Lamp(position, colour, radius, forward, power))

    def next_part(self) -> None:
        """Start a new part; parts are sorted by their distance from the camera."""
        self.part += 1

    def build(self) -> Mesh:
        """Return the shape."""
        corners, colours, radii, details, both, parts = zip(*self.faces, strict=True)
        points = np.array(list(itertools.chain(*corners)), np.float64)
        bounds = np.cumsum([0, *map(len, corners)])
        start, end, flat, part = bounds[:-1], bounds[1:], np.array(both), np.array(parts)
        centre = np.add.reduceat(points, start) / (end - start)[:, None]
        first, second, third = (points[np.minimum(start + i, end - 1)] for i in range(3))
        a, b = second - first, third - second
        cross = [a[:, y] * b[:, z] - a[:, z] * b[:, y] for y, z in ((1, 2), (2, 0), (0, 1))]
        normal = np.stack(cross, axis=1) * ~flat[:, None]
        normal /= np.maximum(np.sqrt((normal**2).sum(1, keepdims=True)), 1e-12)
        return Mesh(
            points=points,
            start=bounds.tolist(),
            normal=normal,
            centre=centre,
            colour=np.array(colours, np.float64),
            radius=list(radii),
            detail=list(details),
            part=part,
            parts=np.stack([centre[part == number].mean(0) for number in range(self.part + 1)]),
            flat=flat,
            height=float(np.ptp(points[:, 2])),
            lamps=self.lamps,
        )
