"""What can happen in a clip of two seconds, in words, and the world in which it happens.

The grammar of the statements, 18 in all::

    statement = someone crosses | someone moves | vehicle acts | we turn
    someone crosses = ("a person crosses" | "two people cross" | "a cyclist crosses") "from the" side
    someone moves = ("a person walks" | "two people walk" | "a cyclist rides") ("towards us" | "away from us")
    vehicle acts = "the" ("car" | "truck") "ahead" ("brakes" | "pulls away")
    we turn = "we turn to the" side
    side = "left" | "right"

In each clip exactly one of them happens, among parked vehicles. Each has an opposite, in which everything moves the
other way through the same places: in the middle of the clip both look alike, so that one frame does not tell them
apart. Persons and cyclists turn their heads with their way, but are a few pixels large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.agents import Agent, new_agent
from mmkeras.driving.simulation.config import Conditions, SceneRequest
from mmkeras.driving.simulation.dynamics import STEP, tracks_of
from mmkeras.driving.simulation.roads import Ground, Road
from mmkeras.driving.simulation.scenery import Town, decorate
from mmkeras.driving.simulation.world import World

__all__ = ["EVENTS", "SECONDS", "Event", "Staged", "stage"]

SECONDS = 2.0
"""Length of a clip."""
_CAMERA = 1.7
"""Metres from the ego vehicle's rear axle to its camera."""


@dataclass(frozen=True)
class Event:
    """One thing that can happen."""

    family: str
    """``crossing``, ``along``, ``lead`` or ``turn``."""
    subject: str
    """``person``, ``people``, ``cyclist``, ``car``, ``truck`` or ``we``."""
    way: int
    """1 or -1: from the left or right, towards us or away, braking or pulling away, to the left or right."""

    @property
    def statement(self) -> str:
        """What happens, in words."""
        side = "left" if self.way > 0 else "right"
        if self.family == "turn":
            return f"we turn to the {side}"
        if self.family == "lead":
            return f"the {self.subject} ahead {'brakes' if self.way > 0 else 'pulls away'}"
        who = {"person": "a person", "people": "two people", "cyclist": "a cyclist"}[self.subject]
        if self.family == "crossing":
            return f"{who} {'cross' if self.subject == 'people' else 'crosses'} from the {side}"
        goes = {"person": "walks", "people": "walk", "cyclist": "rides"}[self.subject]
        return f"{who} {goes} {'towards us' if self.way > 0 else 'away from us'}"

    @property
    def opposite(self) -> Event:
        """The same with the motion reversed."""
        return Event(self.family, self.subject, -self.way)

    @property
    def another(self) -> Event:
        """Another subject, or for a turn another event, with the same direction; every event is that of one other."""
        if self.family == "turn":
            return Event("lead", "car", self.way)
        others = {"crossing": _FEET, "along": _FEET, "lead": ("car", "truck", "we")}[self.family]
        subject = others[(others.index(self.subject) + 1) % len(others)]
        return Event("turn", "we", self.way) if subject == "we" else Event(self.family, subject, self.way)


_FEET = ("person", "people", "cyclist")
EVENTS = tuple(
    Event(family, subject, way)
    for family, subjects in (("crossing", _FEET), ("along", _FEET), ("lead", ("car", "truck")), ("turn", ("we",)))
    for subject in subjects
    for way in (1, -1)
)
"""All that can happen."""


@dataclass(frozen=True)
class Staged:
    """A world in which an event happens."""

    world: World
    yaw: float
    """Radians per second by which the ego vehicle turns to the left."""


def stage(event: Event, conditions: Conditions, rng: np.random.Generator) -> Staged:
    """Return a world in which an event, and nothing else, happens from 0 to `SECONDS`."""
    place = conditions.surroundings
    ground = Ground(rng.uniform(0.0, 0.3), rng.uniform(0, 2 * math.pi), rng.uniform(80, 160), rng.uniform(0, 6.28))
    bend = 0.0 if rng.random() < 0.5 else rng.choice([-1, 1]) / rng.uniform(150.0, 400.0)
    road = Road.curved(
        -90.0, np.full(450, bend), rng.uniform(400.0, 1600.0, 2), rng.uniform(-math.pi, math.pi),
        lanes=1, lane_width=3.5, shoulder=0.8 if place == "country" else 2.5,
        pavement=0.0 if place == "country" else 2.8,
    )  # fmt: skip
    lane = road.lane(0, 1)
    pace = {"lead": rng.uniform(6.0, 10.0), "turn": rng.uniform(2.0, 5.0)}.get(event.family, 0.0)
    if event.family in ("crossing", "along") and rng.random() < 0.3:
        pace = rng.uniform(0.3, 1.0)  # rolls
    ego = new_agent("car", 0, 0.0, lane, 1, pace, rng)
    ego.size = (1.85, 4.6, 1.5)
    middle = SECONDS / 2
    # Seconds from the middle of the clip; the ego is at s = 0 then.
    time = -1.0 + STEP * np.arange(math.ceil((SECONDS + 1.5) / STEP)) - middle
    actors = [(ego, pace * time, np.full(len(time), lane)), *_actors(event, road, pace, time, rng)]
    for way in (1, -1):
        for s in np.arange(20.0, 60.0, 6.6):  # behind what happens
            if place != "country" and rng.random() < 0.3:
                parked = new_agent("car", 0, s, -way * (road.half - 1.1), way, 0.0, rng, parked=True)
                actors.append((parked, np.full(len(time), s), np.full(len(time), parked.d)))
    agents = [agent for agent, _, _ in actors]
    path_s = np.stack([along for _, along, _ in actors], axis=1)
    path_d = np.stack([left for _, _, left in actors], axis=1)
    tracks = tracks_of(time + middle, path_s, path_d, agents, [road])
    request = SceneRequest(0, "clip", "train", conditions, False)
    fixtures = decorate(Town(place, road, None, None), rng)
    yaw = event.way * rng.uniform(0.2, 0.45) if event.family == "turn" else 0.0
    return Staged(World(request, ground, [road], None, agents, tracks, fixtures), yaw)


_Actor = tuple[Agent, np.ndarray, np.ndarray]


def _actors(event: Event, road: Road, pace: float, time: np.ndarray, rng: np.random.Generator) -> list[_Actor]:
    """Return the agents of an event with their way: s (T,) and d (T,) at seconds (T,) from the middle of the clip."""
    lane = road.lane(0, 1)
    if event.family == "turn":
        return []
    if event.family == "lead":
        agent = new_agent(event.subject, 0, 0.0, lane, 1, pace, rng)
        gap = rng.uniform(11.0, 16.0) + agent.size[1] / 2
        change = -event.way * rng.uniform(3.0, 5.0)
        return [(agent, pace * time + _CAMERA + gap + change * time, np.full(len(time), lane))]
    kind = "bicycle" if event.subject == "cyclist" else "pedestrian"
    count = 2 if event.subject == "people" else 1
    if event.family == "crossing":
        away = rng.uniform(7.0, 12.0) + _CAMERA
        speed = rng.uniform(2.5, 4.0) if kind == "bicycle" else rng.uniform(1.2, 2.0)
        across = lane + rng.uniform(-1.2, 1.2)
        agents = [new_agent(kind, 0, away, 0.0, 1, 0.0, rng) for _ in range(count)]
        for agent in agents:
            agent.sideways = -event.way * speed  # from the left: to the right
        return [
            (agent, np.full(len(time), away + 0.5 * n), across + 1.0 * n + agent.sideways * time)
            for n, agent in enumerate(agents)
        ]
    away = _CAMERA + (rng.uniform(9.5, 13.0) if kind == "bicycle" else rng.uniform(7.0, 10.0))
    speed = rng.uniform(3.0, 4.5) if kind == "bicycle" else rng.uniform(1.8, 2.6)
    across = lane + rng.uniform(-2.5, 2.5)
    agents = [new_agent(kind, 0, away, 0.0, -event.way, speed, rng) for _ in range(count)]
    return [
        (agent, away + 0.3 * n + (pace - event.way * speed) * time, np.full(len(time), across + 0.9 * n))
        for n, agent in enumerate(agents)
    ]
