"""Builds one scene: roads, road users and fixtures beside the road."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.agents import Agent, new_agent
from mmkeras.driving.simulation.config import SceneRequest, SimulationConfig
from mmkeras.driving.simulation.dynamics import Tracks, drive
from mmkeras.driving.simulation.roads import Ground, Road
from mmkeras.driving.simulation.scenery import Fixture, Town, decorate

__all__ = ["World", "build_world"]

BEFORE, AHEAD = 45.0, 190.0
"""Metres of road behind and ahead of the ego vehicle's start that hold road users."""


@dataclass(frozen=True)
class World:
    """The roads, road users and fixtures of one scene. The ego vehicle is the road user with index 0."""

    request: SceneRequest
    ground: Ground
    roads: list[Road]
    """The road of the ego vehicle and perhaps a crossing street."""
    crossing: float | None
    """Position of the crossing street's centre along the first road, in metres."""
    agents: list[Agent]
    """Road users at the start."""
    tracks: Tracks
    fixtures: list[Fixture]


def build_world(request: SceneRequest, config: SimulationConfig) -> World:
    """Return the world of a scene."""
    rng = np.random.default_rng([config.seed, 2, request.index])
    place = request.conditions.surroundings
    ground = Ground(
        config.hill * rng.uniform(0.3, 1.0), rng.uniform(0, 2 * math.pi), rng.uniform(80, 160), rng.uniform(0, 6.28)
    )
    lanes = 1 if place == "country" or rng.random() < 0.55 else 2
    parking = 0.0 if place == "country" else 2.5
    road = Road.curved(
        -90.0, _curvature(rng), rng.uniform(400.0, 1600.0, 2), rng.uniform(-math.pi, math.pi),
        lanes=lanes, lane_width=3.5, shoulder=parking or 0.8, pavement=0.0 if place == "country" else 2.8,
    )  # fmt: skip
    roads, crossing = [road], None
    if place != "country" and rng.random() < config.crossroads:
        crossing = float(rng.uniform(28.0, 100.0))
        centre, heading = road.at(crossing)
        turn = math.pi / 2 + rng.uniform(-0.15, 0.15)
        shape = {"lanes": 1, "lane_width": 3.4, "shoulder": 0.5, "pavement": 2.5}
        roads.append(Road.curved(-80.0, np.zeros(161), centre, float(heading) + turn, **shape))
    red = crossing is not None and rng.random() < 0.4
    agents = _road_users(roads, crossing, red, place, config.density, rng)
    stops: list[tuple[int, float, int]] = []
    if crossing is not None:
        main, side = roads[1].half + 3.0, road.half + 3.0
        stops = [(0, crossing - main, 1), (0, crossing + main, -1)] if red else [(1, -side, 1), (1, side, -1)]
    tracks = drive(agents, roads, stops, -1.0, config.scene_seconds + 0.5)
    town = Town(place, road, crossing, roads[1] if crossing is not None else None)
    return World(request, ground, roads, crossing, agents, tracks, decorate(town, rng))


def _curvature(rng: np.random.Generator) -> np.ndarray:
    """Return curvature (N,) in 1/m: straight, one long bend or an S."""
    s = np.arange(-90, 360)
    if rng.random() < 0.4:
        return np.zeros(len(s))
    radius = rng.uniform(90.0, 320.0) * rng.choice([-1, 1])
    bend = 1.0 / (1.0 + np.exp(-(s - rng.uniform(-20, 60)) / 8.0))
    if rng.random() < 0.4:
        bend = bend * np.cos((s - 30) * (math.pi / rng.uniform(70, 140)))
    return bend / radius


def _road_users(
    roads: list[Road], crossing: float | None, red: bool, place: str, density: float, rng: np.random.Generator
) -> list[Agent]:
    road = roads[0]
    pace = {"city": (5.0, 10.0), "suburb": (7.0, 12.0), "country": (10.0, 17.0)}[place]
    lane = int(rng.integers(road.lanes))
    ego = new_agent("car", 0, 0.0, road.lane(lane, 1), 1, rng.uniform(*pace), rng, follows=True)
    ego.size = (1.85, 4.6, 1.5)
    agents = [ego]
    gap = 34.0 if place == "country" else 24.0
    for number in range(road.lanes):
        for way in (1, -1):
            own = way == 1 and number == lane
            s = -BEFORE + rng.uniform(0, gap)
            while s < AHEAD:
                if not own or s > 12.0 or s < -12.0:
                    kind = "truck" if rng.random() < 0.24 else "car"
                    desired = rng.uniform(*pace)
                    agents.append(new_agent(kind, 0, s, road.lane(number, way), way, desired, rng, follows=True))
                s += (11.0 + rng.exponential(gap)) / density
    if place != "country":
        agents += _parked(roads, crossing, density, rng)
    agents += _on_foot(roads, crossing, place, density, rng)
    agents += _cyclists(road, place, density, rng)
    if crossing is not None:
        agents += _crossing_traffic(roads, red, density, rng)
    return agents


def _parked(roads: list[Road], crossing: float | None, density: float, rng: np.random.Generator) -> list[Agent]:
    agents: list[Agent] = []
    for way in (1, -1):
        share = rng.choice([0.1, 0.25, 0.45]) * density
        for s in np.arange(-BEFORE, AHEAD, 6.6):
            if rng.random() < share and (crossing is None or abs(s - crossing) > roads[1].border + 6.0):
                kind = "truck" if rng.random() < 0.1 else "car"
                agent = new_agent(kind, 0, s, 0.0, way, 0.0, rng, parked=True)
                agent.size = (agent.size[0], min(agent.size[1], 6.2), agent.size[2])
                agent.d = -way * (roads[0].half - 0.15 - agent.size[0] / 2)
                agent.twist = float(rng.normal(0, 0.03)) + (math.pi if rng.random() < 0.1 else 0.0)
                agents.append(agent)
    return agents


def _on_foot(
    roads: list[Road], crossing: float | None, place: str, density: float, rng: np.random.Generator
) -> list[Agent]:
    road, agents = roads[0], []
    mean = {"city": 17.0, "suburb": 8.0, "country": 3.0}[place] * density
    for _ in range(rng.poisson(mean)):
        side = rng.choice([-1, 1])
        d = side * (road.half + rng.uniform(0.5, max(road.pavement, 1.2) - 0.3))
        way = int(rng.choice([-1, 1]))
        standing = rng.random() < 0.25
        speed = 0.0 if standing else rng.uniform(0.7, 1.9)
        agent = new_agent("pedestrian", 0, rng.uniform(-10, 120), d, way, speed, rng)
        agent.twist = float(rng.uniform(-math.pi, math.pi)) if standing else 0.0
        agents.append(agent)
    for _ in range(rng.poisson({"city": 3.0, "suburb": 1.5, "country": 0.5}[place] * density)):
        side = int(rng.choice([-1, 1]))
        s = rng.uniform(14, 110)
        if crossing is not None and rng.random() < 0.6:
            s = crossing - (roads[1].half + rng.uniform(0.8, 3.0))
        agent = new_agent("pedestrian", 0, s, side * (road.half + rng.uniform(0, 2)), 1, 0.0, rng)
        agent.sideways = -side * float(rng.uniform(0.9, 1.8))
        agent.start = float(rng.uniform(-1.0, 6.0))
        agents.append(agent)
    return agents


def _cyclists(road: Road, place: str, density: float, rng: np.random.Generator) -> list[Agent]:
    agents = []
    for _ in range(rng.poisson({"city": 6.0, "suburb": 5.0, "country": 3.5}[place] * density)):
        way = int(rng.choice([-1, 1], p=[0.45, 0.55]))
        d = -way * (road.lanes * road.lane_width + rng.uniform(-0.25, 0.05))
        agents.append(new_agent("bicycle", 0, rng.uniform(6, 110), d, way, rng.uniform(2.5, 6.0), rng))
    return agents


def _crossing_traffic(roads: list[Road], red: bool, density: float, rng: np.random.Generator) -> list[Agent]:
    street, agents = roads[1], []
    for way in (1, -1):
        s = -(roads[0].half + 6.0) - rng.uniform(0, 10)
        while s > -70:
            kind = "truck" if rng.random() < 0.2 else "car"
            speed = rng.uniform(5, 9) if red else 0.5
            agent = new_agent(kind, 1, way * s, street.lane(0, way), way, speed, rng, follows=True)
            agent.desired = float(rng.uniform(5, 9))
            agents.append(agent)
            s -= (9.0 + rng.exponential(8.0)) / density
        for _ in range(rng.poisson(0.8 * density)):
            kind = str(rng.choice(["bicycle", "pedestrian"]))
            d = -way * (street.half - 0.4 if kind == "bicycle" else street.half + rng.uniform(0.5, 2.0))
            speed = rng.uniform(2.5, 5.0) if kind == "bicycle" else rng.uniform(0.8, 1.8)
            where = -way * rng.uniform(roads[0].border, roads[0].border + 15)
            agents.append(new_agent(kind, 1, where, d, way, speed if red else 0.0, rng))
    return agents
