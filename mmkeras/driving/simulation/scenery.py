"""The fixtures beside the road: buildings, trees, bushes, poles, signs, guard rails and walls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.roads import Road

__all__ = ["Fixture", "Town", "decorate"]

FACADES = (
    (150, 138, 122), (128, 96, 82), (172, 165, 150), (110, 112, 118), (160, 120, 92), (188, 182, 172), (96, 90, 88),
)  # fmt: skip


@dataclass(frozen=True)
class Fixture:
    """An object that never moves."""

    kind: str
    """``building``, ``tree``, ``bush``, ``lamp``, ``pole``, ``sign``, ``signal``, ``rail`` or ``wall``."""
    position: tuple[float, float]
    """Global, in metres."""
    heading: float
    size: tuple[float, float, float]
    """Width, length, height in metres."""
    colour: tuple[int, int, int]
    seed: int
    """Seed of the random details of its shape."""


@dataclass(frozen=True)
class Town:
    """The surroundings of a road, which decide the kinds and places of fixtures."""

    place: str
    """``city``, ``suburb`` or ``country``."""
    road: Road
    crossing: float | None
    """Position along the road where the crossing street meets it."""
    street: Road | None

    def keeps_clear(self, s: float, d: float, margin: float) -> bool:
        """Return whether a fixture with a radius of ``margin`` metres leaves the crossing street free."""
        if self.street is None:
            return True
        point, _ = self.road.at(s, d)
        centre, heading = self.street.at(0.0)
        side = float(np.dot(point - centre, [-math.sin(float(heading)), math.cos(float(heading))]))
        return abs(side) > self.street.border + margin


def decorate(town: Town, rng: np.random.Generator) -> list[Fixture]:
    """Return the fixtures beside the road, from 30 m behind to about 220 m ahead of the start."""
    found: list[Fixture] = []
    for side in (-1, 1):
        if town.place == "city":
            found += _houses(town, side, rng, (12, 26), (7, 20), (0.0, 1.5), (0.0, 2.5))
        elif town.place == "suburb":
            found += _houses(town, side, rng, (8, 13), (5, 8), (4.0, 9.0), (5.0, 18.0))
        border = town.road.border
        if town.place == "country" or rng.random() < 0.15:
            found += _strip(town, side, rng, "rail" if rng.random() < 0.65 else "wall")
        spacing = {"city": 16.0, "suburb": 12.0, "country": 9.0}[town.place]
        found += _row(town, "tree", side, spacing, border - (0.7 if town.place == "city" else -2.5), rng)
        if town.place != "city":
            found += _row(town, "tree", side, 14.0, border + 14.0, rng)
            found += _row(town, "bush", side, 7.0, border + 2.0, rng)
        found += _row(town, "lamp", side, 32.0, town.road.half + 0.5, rng)
        found += _row(town, "pole", side, 45.0, town.road.half + 0.6, rng)
        found += _row(town, "sign", side, 38.0, town.road.half + 0.6, rng)
    if town.crossing is not None and town.street is not None:
        for side in (-1, 1):
            s, d = town.crossing - side * (town.street.half + 1.0), -side * (town.road.half + 0.6)
            found.append(_fixture(town, "signal", s, d, (0.3, 0.3, 3.4), (60, 64, 60), rng, side))
    return found


def _fixture(
    town: Town, kind: str, s: float, d: float, size: tuple[float, float, float], colour: tuple[int, int, int],
    rng: np.random.Generator, way: int = 1,
) -> Fixture:  # fmt: skip
    point, heading = town.road.at(s, d)
    turn = 0.0 if way > 0 else math.pi
    place = (float(point[0]), float(point[1]))
    return Fixture(kind, place, float(heading) + turn, size, colour, int(rng.integers(1 << 30)))


def _houses(
    town: Town, side: int, rng: np.random.Generator, lengths: tuple[int, int], heights: tuple[int, int],
    setback: tuple[float, float], gaps: tuple[float, float],
) -> list[Fixture]:  # fmt: skip
    found, s = [], -20.0
    while s < 200.0:
        length, depth = rng.uniform(*lengths), rng.uniform(8, 12)
        d = side * (town.road.border + 0.3 + rng.uniform(*setback) + depth / 2)
        middle = s + length / 2
        if all(town.keeps_clear(*at) for at in ((s, d, 2.0), (middle, d, length / 2), (s + length, d, 2.0))):
            base = FACADES[rng.integers(len(FACADES))]
            red, green, blue = np.clip(np.array(base) + rng.integers(-15, 16, 3), 30, 225).tolist()
            size = (depth, length, rng.uniform(*heights))
            found.append(_fixture(town, "building", middle, d, size, (red, green, blue), rng))
        s += length + rng.uniform(*gaps)
    return found


def _strip(town: Town, side: int, rng: np.random.Generator, kind: str) -> list[Fixture]:
    length = 4.0
    size = (0.12, length + 0.1, 0.75) if kind == "rail" else (0.4, length + 0.1, 0.85)
    colour = (150, 154, 158) if kind == "rail" else (158, 154, 146)
    first, last = rng.uniform(-30, 20), rng.uniform(70, 200)
    d = side * (town.road.half + (0.5 if town.place == "country" else town.road.pavement))
    return [
        _fixture(town, kind, s, d, size, colour, rng)
        for s in np.arange(first, last, length)
        if town.keeps_clear(s, d, length / 2 + 1.0)
    ]


def _row(town: Town, kind: str, side: int, spacing: float, d: float, rng: np.random.Generator) -> list[Fixture]:
    found, s = [], -20 + rng.uniform(0, spacing)
    while s < 200.0:
        offset = side * (d + rng.normal(0, 0.15 if kind in ("lamp", "pole", "sign") else 0.5))
        if town.keeps_clear(s, offset, 1.0) and rng.random() < 0.75:
            grey = int(rng.integers(70, 120))
            colour = {
                "tree": (int(rng.integers(40, 80)), int(rng.integers(70, 112)), int(rng.integers(28, 55))),
                "bush": (int(rng.integers(45, 80)), int(rng.integers(75, 110)), int(rng.integers(35, 55))),
            }.get(kind, (grey, grey, grey + 4))
            size = {
                "tree": (rng.uniform(2.5, 4.5), rng.uniform(2.5, 4.5), rng.uniform(4.5, 9.0)),
                "bush": (rng.uniform(1.0, 1.8), rng.uniform(1.0, 2.2), rng.uniform(0.7, 1.5)),
                "lamp": (0.16, 0.16, 6.5),
                "pole": (0.12, 0.12, rng.uniform(1.2, 4.0)),
                "sign": (0.1, 0.65, rng.uniform(2.2, 2.8)),
            }[kind]
            found.append(_fixture(town, kind, s, offset, size, colour, rng, -side))
        s += spacing * rng.uniform(0.7, 1.4)
    return found
