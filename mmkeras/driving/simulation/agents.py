"""The kinds of road users: category, size, colours and radar cross section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["KINDS", "Agent", "Kind", "new_agent"]


@dataclass(frozen=True)
class Kind:
    """One kind of road user."""

    category: str
    length: tuple[float, float]
    """Smallest and largest value in metres, as for width and height."""
    width: tuple[float, float]
    height: tuple[float, float]
    rcs: tuple[float, float]
    """Mean and standard deviation of a return's radar cross section in dBsm. The kinds overlap widely, by intent."""
    returns: float
    """Mean number of returns of a near object seen from its longer side."""


KINDS = {
    "car": Kind("vehicle.car", (3.6, 5.2), (1.6, 2.0), (1.38, 1.85), (8.0, 6.5), 3.2),
    "truck": Kind("vehicle.truck", (5.6, 10.5), (2.1, 2.6), (2.5, 3.8), (13.0, 7.5), 5.5),
    "pedestrian": Kind("human.pedestrian.adult", (0.5, 0.8), (0.56, 0.75), (1.5, 2.0), (-2.0, 5.0), 1.1),
    "bicycle": Kind("vehicle.bicycle", (1.6, 1.9), (0.56, 0.75), (1.55, 1.9), (0.0, 5.5), 1.4),
}

PAINTS = (
    (205, 207, 210), (235, 235, 232), (40, 42, 46), (95, 98, 104), (140, 22, 24), (26, 52, 110), (60, 92, 70),
    (170, 150, 110), (190, 90, 30), (75, 120, 165), (120, 20, 60), (220, 190, 60),
)  # fmt: skip
CLOTHES = (
    (40, 45, 60), (150, 40, 40), (60, 90, 140), (200, 195, 185), (70, 110, 70), (220, 130, 50), (110, 70, 120),
    (30, 30, 32), (210, 60, 110), (120, 110, 95),
)  # fmt: skip
TROUSERS = ((35, 40, 58), (70, 70, 74), (95, 80, 60), (28, 28, 30), (120, 112, 98))
SKIN = ((236, 188, 160), (200, 150, 116), (150, 100, 72), (95, 65, 48))


@dataclass
class Agent:
    """One road user, in coordinates along a road."""

    kind: str
    """A key of `KINDS`."""
    size: tuple[float, float, float]
    """Width, length, height in metres."""
    road: int
    """Index of the road it belongs to."""
    s: float
    """Position along the road in metres."""
    d: float
    """Position to the left of the centre line in metres."""
    direction: int
    """1 along the road, -1 against it."""
    speed: float
    """Along ``direction``, in m/s."""
    sideways: float
    """To the left of the road, in m/s."""
    desired: float
    """The speed on a free road, in m/s."""
    follows: bool
    """Whether it keeps its distance from the vehicle ahead; other road users keep their velocity."""
    parked: bool
    colours: tuple[tuple[int, int, int], ...]
    """Paint of a vehicle, or coat, trousers and skin of a person."""
    twist: float = 0.0
    """Heading of a standing agent relative to the road's direction, in radians."""
    start: float = -10.0
    """Seconds after which a waiting agent starts to move."""

    @property
    def person(self) -> bool:
        """Whether it is a pedestrian or a cyclist."""
        return self.kind in ("pedestrian", "bicycle")


def _colour(choices: tuple[tuple[int, int, int], ...], rng: np.random.Generator) -> tuple[int, int, int]:
    base = np.array(choices[rng.integers(len(choices))]) + rng.integers(-12, 13, 3)
    red, green, blue = np.clip(base, 8, 245).tolist()
    return (red, green, blue)


def new_agent(
    kind: str,
    road: int,
    s: float,
    d: float,
    direction: int,
    speed: float,
    rng: np.random.Generator,
    *,
    follows: bool = False,
    parked: bool = False,
) -> Agent:
    """Return a road user of random size and colours."""
    of = KINDS[kind]
    # Half of each measure follows a common size, the other half is drawn independently.
    share = rng.random()
    length, width, height = (
        low + (high - low) * (0.5 * share + 0.5 * rng.random()) for low, high in (of.length, of.width, of.height)
    )
    colours = (
        _colour(PAINTS if kind in ("car", "truck") else CLOTHES, rng),
        _colour(TROUSERS, rng),
        _colour(SKIN, rng),
    )
    return Agent(
        kind=kind, size=(round(width, 3), round(length, 3), round(height, 3)), road=road, s=float(s), d=float(d),
        direction=direction, speed=float(speed), sideways=0.0, desired=float(speed), follows=follows, parked=parked,
        colours=colours,
    )  # fmt: skip
