"""Motion of road users: the intelligent driver model in lanes, constant velocity elsewhere.

Drivers accelerate by ``a (1 - (v / v0)^4 - (s* / gap)^2)`` with ``s* = s0 + v T + v dv / (2 sqrt(a b))``
(Treiber, Hennecke, Helbing 2000). The obstacle ahead is another driver in the lane, a pedestrian who crosses it, or the
stop line of a red light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.agents import Agent
from mmkeras.driving.simulation.roads import Road

__all__ = ["STEP", "Tracks", "drive", "tracks_of"]

STEP = 0.1
"""Seconds per step."""
ACCELERATION = 1.8
BRAKING = 2.5
HARDEST = 7.0
HEADWAY = 1.3
STANDSTILL = 2.5


@dataclass(frozen=True)
class Tracks:
    """Positions, headings and velocities of all road users at every step."""

    times: np.ndarray
    """Seconds (T,), evenly spaced."""
    position: np.ndarray
    """Global positions (T, A, 2)."""
    heading: np.ndarray
    """Radians (T, A), unwrapped over time."""
    velocity: np.ndarray
    """Global velocity (T, A, 2) in m/s."""

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions (A, 2), headings (A,) and velocities (A, 2) at a time."""
        position, heading, velocity = self.at_all(np.array([time]))
        return position[0], heading[0], velocity[0]

    def at_all(self, times: np.ndarray, agents: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions (S, A, 2), headings (S, A) and velocities (S, A, 2) of some agents at times (S,)."""
        grid = np.clip((times - self.times[0]) / STEP, 0.0, len(self.times) - 1.001)
        low = grid.astype(int)
        part = (grid - low)[:, None]
        position, heading, velocity = (
            column[low, agents] * (1 - share) + column[low + 1, agents] * share
            for column, share in (
                (self.position, part[..., None]),
                (self.heading, part),
                (self.velocity, part[..., None]),
            )
        )
        return position, heading, velocity


def _acceleration(speed: np.ndarray, desired: np.ndarray, gap: np.ndarray, closing: np.ndarray) -> np.ndarray:
    wanted = STANDSTILL + np.maximum(0.0, speed * HEADWAY + speed * closing / (2 * math.sqrt(ACCELERATION * BRAKING)))
    free = 1 - (speed / np.maximum(desired, 0.1)) ** 4
    return np.clip(ACCELERATION * (free - (wanted / np.maximum(gap, 0.1)) ** 2), -HARDEST, ACCELERATION)


def drive(
    agents: list[Agent], roads: list[Road], stops: list[tuple[int, float, int]], start: float, end: float
) -> Tracks:
    """Move all agents from ``start`` to one step after ``end`` (seconds); ``agents`` is not changed.

    ``stops`` are red lights: road, position along it and the direction that must stop.
    """
    times = start + STEP * np.arange(math.ceil((end - start) / STEP) + 2)
    s = np.array([agent.s for agent in agents])
    d = np.array([agent.d for agent in agents])
    speed = np.array([agent.speed for agent in agents])
    sideways = np.array([agent.sideways for agent in agents])
    desired = np.array([max(agent.desired, 0.1) for agent in agents])
    direction = np.array([agent.direction for agent in agents], np.float64)
    half = np.array([agent.size[1] / 2 for agent in agents])
    begin = np.array([agent.start for agent in agents])
    road = np.array([agent.road for agent in agents])
    lanes = _lanes(agents)
    crossing = [i for i, agent in enumerate(agents) if agent.sideways and not agent.follows]
    path_s, path_d = np.empty((len(times), len(agents))), np.empty((len(times), len(agents)))
    for step, time in enumerate(times):
        path_s[step], path_d[step] = s, d
        for (number, where, way), members in lanes.items():
            blocks = [at * way for lit, at, stopped in stops if lit == number and stopped == way]
            blocks += [s[i] * way for i in crossing if road[i] == number and abs(d[i] - where) < 2.2]
            ahead = s[members] * way
            order = members[np.argsort(ahead)]
            front = np.sort(ahead) + half[order]
            gap = np.full(len(order), 1e3)
            closing = np.zeros(len(order))
            gap[:-1] = (s[order[1:]] * way - half[order[1:]]) - front[:-1]
            closing[:-1] = speed[order[:-1]] - speed[order[1:]]
            for block in blocks:
                to_block = block - front
                nearer = (to_block > -1.0) & (to_block < gap)
                gap[nearer], closing[nearer] = to_block[nearer], speed[order[nearer]]
            pull = _acceleration(speed[order], desired[order], np.maximum(gap, 0.3), closing)
            speed[order] = np.maximum(0.0, speed[order] + STEP * pull)
        moving = time >= begin
        s = s + STEP * direction * speed * moving
        d = d + STEP * sideways * moving
    return tracks_of(times, path_s, path_d, agents, roads)


def _lanes(agents: list[Agent]) -> dict[tuple[int, float, int], np.ndarray]:
    lanes: dict[tuple[int, float, int], list[int]] = {}
    for i, agent in enumerate(agents):
        if agent.follows:
            lanes.setdefault((agent.road, round(agent.d, 1), agent.direction), []).append(i)
    return {lane: np.array(members) for lane, members in lanes.items()}


def tracks_of(times: np.ndarray, s: np.ndarray, d: np.ndarray, agents: list[Agent], roads: list[Road]) -> Tracks:
    """Return the tracks of agents along their roads.

    Args:
        times: seconds (T,), `STEP` apart.
        s: metres (T, A) along the road of each agent.
        d: metres (T, A) to the left of its centre.
        agents: A of them; their directions, lateral speeds and twists give the headings.
        roads: by number.
    """
    position, along = np.empty((*s.shape, 2)), np.empty(s.shape)
    for number, road in enumerate(roads):
        members = np.array([i for i, agent in enumerate(agents) if agent.road == number], int)
        position[:, members], along[:, members] = road.at(s[:, members], d[:, members])
    velocity = np.gradient(position, STEP, axis=0)
    heading = along + np.array([0.0 if agent.direction > 0 else math.pi for agent in agents])
    for i, agent in enumerate(agents):
        if agent.sideways and not agent.follows:
            heading[:, i] += math.atan2(agent.sideways * agent.direction, agent.speed)
    return Tracks(times, position, heading + np.array([agent.twist for agent in agents]), velocity)
