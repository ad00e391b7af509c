"""Roads as curves on a ground with gentle waves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["Ground", "Road"]


@dataclass(frozen=True)
class Ground:
    """The height of the ground: one long wave across the global plane."""

    amplitude: float
    direction: float
    """Heading along which the wave runs, in radians."""
    length: float
    """Metres."""
    phase: float
    """Radians at the origin."""

    def height(self, xy: np.ndarray) -> np.ndarray:
        """Return the height (...,) in metres at global positions (..., 2)."""
        along = xy[..., 0] * math.cos(self.direction) + xy[..., 1] * math.sin(self.direction)
        return self.amplitude * np.sin(along * (2 * math.pi / self.length) + self.phase)

    def slope(self, xy: np.ndarray, heading: float) -> float:
        """Return the angle in radians by which the ground rises at a position (2,) towards a heading."""
        step = np.array([math.cos(heading), math.sin(heading)])
        return math.atan2(float(self.height(xy + step) - self.height(xy - step)), 2.0)

    def lift(self, xy: np.ndarray) -> np.ndarray:
        """Return points (..., 3) on the ground at global positions (..., 2)."""
        return np.concatenate([xy, self.height(xy)[..., None]], axis=-1)


@dataclass(frozen=True)
class Road:
    """A centre line sampled every metre, with lanes to both sides. ``d`` is the distance to the left of the line."""

    start: float
    """The line's parameter ``s`` at its first sample."""
    centre: np.ndarray
    """Global positions (N, 2)."""
    heading: np.ndarray
    """Radians (N,), unwrapped."""
    lanes: int
    """Lanes per direction."""
    lane_width: float
    shoulder: float
    """Width of the strip beside the lanes where cars park, in metres."""
    pavement: float
    """Width of the pavement beside it, in metres; 0: no pavement."""

    @classmethod
    def curved(
        cls, start: float, curvature: np.ndarray, origin: np.ndarray, heading: float, **cross_section: float
    ) -> Road:
        """Return a road with a curvature (N,) in 1/m at every metre; ``origin`` and ``heading`` are those at s = 0."""
        angle = np.concatenate([[0.0], np.cumsum(curvature)[:-1]])
        zero = round(-start)
        angle = angle - angle[zero] + heading
        steps = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        centre = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)[:-1]])
        return cls(start, centre - centre[zero] + origin, angle, **cross_section)  # type: ignore[arg-type]

    @property
    def half(self) -> float:
        """Distance from the centre line to the edge of the asphalt in metres."""
        return self.lanes * self.lane_width + self.shoulder

    @property
    def border(self) -> float:
        """Distance from the centre line to the outer edge of the pavement in metres."""
        return self.half + self.pavement

    def lane(self, number: int, direction: int) -> float:
        """Return ``d`` of a lane's centre; 0 is the innermost. Traffic keeps to the right."""
        return -direction * (number + 0.5) * self.lane_width

    def at(self, s: np.ndarray | float, d: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Return global positions (..., 2) and headings (...) of the road at ``s`` (...) and ``d`` (...)."""
        s, d = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(d, np.float64))
        grid = np.clip(s - self.start, 0.0, len(self.centre) - 1.0)
        low = np.minimum(grid.astype(int), len(self.centre) - 2)
        part = (grid - low)[..., None]
        point = self.centre[low] * (1 - part) + self.centre[low + 1] * part
        angle = self.heading[low] * (1 - part[..., 0]) + self.heading[low + 1] * part[..., 0]
        over = (s - self.start - grid)[..., None]
        along = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        left = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
        return point + over * along + d[..., None] * left, angle
