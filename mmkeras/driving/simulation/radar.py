"""Three front radars, all sweeps of a scene at once.

A return starts at a surface point of an object that faces the radar, or at a fixture, and is kept according to

- a field of view that narrows with range (60 degrees to 20 m, 45 to 70 m, 9 to 150 m to each side, as automotive
  radars with a near and a far beam have it);
- the probability that its radar cross section, drawn for every return with a spread of 5 to 8 dB, exceeds the threshold
  at its range (fourth power of the range);
- a third of that probability behind another vehicle, and 0 behind a house.

Range, azimuth and radial speed get Gaussian noise. That of the azimuth grows towards the edge of the field: at 30 m a
return is about a metre off sideways and hardly shows direction or class. Rails, walls, houses, trees and poles give
returns, too, and clutter is spread over range and azimuth, a sixth of it with a speed. A ghost repeats the return of an
object farther away, with the speed scaled likewise, like a path over two reflections. The timestamp is later than the
measurement by a fixed latency.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.agents import KINDS
from mmkeras.driving.simulation.config import SimulationConfig
from mmkeras.driving.simulation.world import World

__all__ = ["RADARS", "Returns", "sweep_all"]

RADARS = {
    "RADAR_FRONT": (3.55, 0.0, 0.5, 0.0),
    "RADAR_FRONT_LEFT": (3.2, 0.8, 0.5, math.radians(50.0)),
    "RADAR_FRONT_RIGHT": (3.2, -0.8, 0.5, math.radians(-50.0)),
}
"""Mounting by channel: x, y, z in metres and yaw in radians, in the ego frame."""
FIELDS = ((20.0, math.radians(60.0)), (70.0, math.radians(45.0)), (150.0, math.radians(9.0)))
SCENERY = {
    "building": (9.0, 7.0, 0.45), "tree": (0.0, 6.0, 0.28), "bush": (-4.0, 5.0, 0.16), "lamp": (3.0, 5.0, 0.45),
    "pole": (2.0, 5.0, 0.42), "sign": (6.0, 6.0, 0.55), "signal": (6.0, 5.0, 0.55), "rail": (6.0, 7.0, 0.42),
    "wall": (3.0, 6.0, 0.32),
}  # fmt: skip
"""By fixture: mean and spread of the radar cross section in dBsm, and the probability of each of two near returns."""
CANDIDATES = 6
CLUTTER, SCENE, GHOST = -1, -2, -3


@dataclass(frozen=True)
class Returns:
    """The returns of one sweep, nearest first."""

    range: np.ndarray
    """Metres (N,)."""
    azimuth: np.ndarray
    """Radians to the left (N,)."""
    speed: np.ndarray
    """Radial speed relative to the radar (N,), in m/s; positive moves away."""
    ground_speed: np.ndarray
    """Radial speed over ground (N,): without the radar's own movement."""
    rcs: np.ndarray
    """dBsm (N,)."""
    owner: np.ndarray
    """Road user of a return (N,), or -1 clutter, -2 scenery, -3 ghost. Not written to files."""
    valid: np.ndarray
    """Bool (N,): whether a return passes the default filters."""


@dataclass
class _Echoes:
    """Returns of many sweeps before noise, as flat columns."""

    sweep: np.ndarray
    range: np.ndarray
    azimuth: np.ndarray
    over_ground: np.ndarray
    rcs: np.ndarray
    owner: np.ndarray


def sweep_all(
    world: World, times: np.ndarray, poses: np.ndarray, speeds: np.ndarray, config: SimulationConfig,
    rng: np.random.Generator,
) -> list[Returns]:  # fmt: skip
    """Return the measurements of S sweeps at ``times``, seconds (S,).

    ``poses`` are the radars' global x, y and heading (S, 3) at these times, ``speeds`` their velocity (S, 2) in m/s.
    """
    parts = [_of_agents(world, times, poses, rng), _of_scenery(world, poses, rng)]
    parts.append(_ghosts(parts[0], rng))
    parts.append(_clutter(len(times), config.radar_clutter, rng))
    sweep, distance, azimuth, over_ground, rcs, owner = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("sweep", "range", "azimuth", "over_ground", "rcs", "owner")
    )
    limit = np.select([distance < reach for reach, _ in FIELDS], [angle for _, angle in FIELDS], 0.0)
    needed = 40.0 * np.log10(np.maximum(distance, 1.0) / 45.0) - 4.0
    chance = 0.93 / (1.0 + np.exp(-(rcs - needed) / 3.0))
    kept = (np.abs(azimuth) < limit) & (distance > 0.6) & ((rng.random(len(rcs)) < chance) | (owner == CLUTTER))
    sweep, distance, azimuth, over_ground, rcs, owner = (
        column[kept] for column in (sweep, distance, azimuth, over_ground, rcs, owner)
    )
    own = np.einsum("nc,nc->n", speeds[sweep], _unit(azimuth + poses[sweep, 2]))
    radial = over_ground - own + rng.normal(0, config.radar_speed_noise, len(own))
    spread = math.radians(config.radar_angle_noise) * (0.9 + 0.6 * (azimuth / 0.8) ** 2)
    azimuth = azimuth + rng.normal(0, 1, len(own)) * spread
    distance = np.maximum(distance + rng.normal(0, config.radar_range_noise, len(own)), 0.3)
    compensated = radial + np.einsum("nc,nc->n", speeds[sweep], _unit(azimuth + poses[sweep, 2]))
    valid = rng.random(len(own)) > 0.06
    order = np.lexsort((distance, sweep))
    columns = [column[order] for column in (distance, azimuth, radial, compensated, rcs, owner, valid)]
    bounds = np.searchsorted(sweep[order], np.arange(len(times) + 1))
    return [Returns(*(c[a:b][:125] for c in columns)) for a, b in itertools.pairwise(bounds.tolist())]


def _unit(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _wrap(angle: np.ndarray) -> np.ndarray:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _of_agents(world: World, times: np.ndarray, poses: np.ndarray, rng: np.random.Generator) -> _Echoes:
    agents = world.agents
    position, heading, velocity = world.tracks.at_all(times)
    size = np.array([agent.size for agent in agents])
    offset = poses[:, None, :2] - position
    c, s = np.cos(heading), np.sin(heading)
    seen_x, seen_y = c * offset[..., 0] + s * offset[..., 1], -s * offset[..., 0] + c * offset[..., 1]
    centre = np.hypot(seen_x, seen_y)
    shape = (*centre.shape, CANDIDATES)
    # The faces turned to the radar share the returns by their apparent widths.
    end, side = np.abs(seen_x) * size[:, 0], np.abs(seen_y) * size[:, 1]
    on_end = rng.random(shape) < (end / np.maximum(end + side, 1e-9))[..., None]
    along, inset = rng.uniform(-0.5, 0.5, shape), rng.uniform(0.0, 0.4, shape)
    half_w, half_l = size[:, 0, None] / 2, size[:, 1, None] / 2
    deep_x, deep_y = np.maximum(half_l - inset, 0.0), np.maximum(half_w - inset, 0.0)
    x = np.where(on_end, np.sign(seen_x)[..., None] * deep_x, 2 * along * half_l)
    y = np.where(on_end, 2 * along * half_w, np.sign(seen_y)[..., None] * deep_y)
    gx = position[..., 0, None] + c[..., None] * x - s[..., None] * y - poses[:, None, None, 0]
    gy = position[..., 1, None] + s[..., None] * x + c[..., None] * y - poses[:, None, None, 1]
    direction = np.arctan2(gy, gx)
    mean = np.array([KINDS[agent.kind].returns for agent in agents]) / (1.0 + centre / 25.0)
    mean = mean * np.where(_hidden(world, position, poses, centre, size), 0.35, 1.0)
    mean = mean * ~_behind_houses(world, position, poses)
    mean[:, 0] = 0.0
    happens = (rng.random(shape) < (mean / CANDIDATES)[..., None]) & (centre < 130.0)[..., None]
    rcs_mean, rcs_spread = np.array([KINDS[agent.kind].rcs for agent in agents]).T
    # One part of the spread is common to an object's returns in a sweep, the other is drawn per return.
    rcs = rcs_mean[:, None] + rcs_spread[:, None] * (
        0.6 * rng.standard_normal(centre.shape)[..., None] + 0.8 * rng.standard_normal(shape)
    )
    micro = np.array([0.5 if agent.kind in ("pedestrian", "bicycle") and agent.desired else 0.0 for agent in agents])
    sweep, agent, _ = np.nonzero(happens)
    angle = direction[happens]
    over_ground = np.einsum("nc,nc->n", velocity[sweep, agent], _unit(angle))
    over_ground = over_ground + micro[agent] * rng.normal(0, 1, len(agent))
    return _Echoes(sweep, np.hypot(gx, gy)[happens], _wrap(angle - poses[sweep, 2]), over_ground, rcs[happens], agent)


def _hidden(world: World, position: np.ndarray, poses: np.ndarray, centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return bool (S, A): whether another vehicle is between a road user and the radar."""
    ray = position - poses[:, None, :2]
    unit = ray / np.maximum(centre, 0.1)[..., None]
    large = np.array([not agent.person for agent in world.agents])
    large[0] = False
    half = np.where(large, 0.35 * size[:, 1], 0.0) / np.maximum(centre, 1.0)
    between = unit @ unit.transpose(0, 2, 1) > np.cos(np.minimum(half, 1.5))[:, None, :]
    return np.asarray((between & large & (centre[:, None, :] < centre[:, :, None] - 2.5)).any(-1))


def _behind_houses(world: World, position: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Return bool (S, A): whether a house is between a road user of the crossing street and the radar."""
    result = np.zeros(position.shape[:2], bool)
    houses = [fixture for fixture in world.fixtures if fixture.kind == "building"]
    members = np.array([i for i, agent in enumerate(world.agents) if agent.road == 1], int)
    if not houses or not len(members):
        return result
    part = np.linspace(0.3, 0.95, 8)[:, None]
    ray = position[:, members, None, :] - poses[:, None, None, :2]
    points = poses[:, None, None, :2] + part * ray
    for house in houses:
        away = points - np.array(house.position)
        c, s = math.cos(house.heading), math.sin(house.heading)
        x, y = c * away[..., 0] + s * away[..., 1], -s * away[..., 0] + c * away[..., 1]
        inside = (np.abs(x) < house.size[1] / 2) & (np.abs(y) < house.size[0] / 2)
        result[:, members] |= inside.any(-1)
    return result


def _of_scenery(world: World, poses: np.ndarray, rng: np.random.Generator) -> _Echoes:
    fixtures = world.fixtures
    position = np.array([fixture.position for fixture in fixtures]).reshape(-1, 2)
    heading = np.array([fixture.heading for fixture in fixtures])
    size = np.array([fixture.size for fixture in fixtures]).reshape(-1, 3)
    mean, spread, share = np.array([SCENERY[fixture.kind] for fixture in fixtures]).reshape(-1, 3).T
    house = np.array([fixture.kind == "building" for fixture in fixtures], bool)
    shape = (len(poses), len(fixtures), 2)
    offset = poses[:, None, :2] - position
    beside = -np.sin(heading) * offset[..., 0] + np.cos(heading) * offset[..., 1]
    wide = np.where(np.isin([fixture.kind for fixture in fixtures], ["building", "rail", "wall"]), size[:, 1], 0.2)
    x = rng.uniform(-0.5, 0.5, shape) * wide[:, None]
    y = np.where(house, np.sign(beside) * size[:, 0] / 2, 0.0)[..., None]
    c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
    gx = position[:, 0, None] + c * x - s * y - poses[:, None, None, 0]
    gy = position[:, 1, None] + s * x + c * y - poses[:, None, None, 1]
    distance = np.hypot(gx, gy)
    happens = rng.random(shape) < share[:, None] / (1.0 + distance / 35.0)
    rcs = (mean[:, None] + spread[:, None] * rng.standard_normal(shape))[happens]
    sweep = np.nonzero(happens)[0]
    azimuth = _wrap(np.arctan2(gy, gx)[happens] - poses[sweep, 2])
    return _Echoes(sweep, distance[happens], azimuth, np.zeros(len(sweep)), rcs, np.full(len(sweep), SCENE))


def _ghosts(echoes: _Echoes, rng: np.random.Generator) -> _Echoes:
    chosen = np.flatnonzero((rng.random(len(echoes.sweep)) < 0.12) & (echoes.range < 45.0))
    longer = rng.uniform(1.15, 2.1, len(chosen))
    return _Echoes(
        echoes.sweep[chosen], echoes.range[chosen] * longer, echoes.azimuth[chosen] + rng.normal(0, 0.05, len(chosen)),
        echoes.over_ground[chosen] * longer, echoes.rcs[chosen] - 2.0, np.full(len(chosen), GHOST),
    )  # fmt: skip


def _clutter(sweeps: int, mean: float, rng: np.random.Generator) -> _Echoes:
    count = rng.poisson(mean, sweeps)
    total = int(count.sum())
    speed = np.where(rng.random(total) < 0.16, rng.normal(0, 6, total), rng.normal(0, 0.15, total))
    return _Echoes(
        np.repeat(np.arange(sweeps), count), rng.uniform(1.5, 75.0, total), rng.uniform(-1.05, 1.05, total), speed,
        rng.normal(0.0, 7.0, total), np.full(total, CLUTTER),
    )  # fmt: skip
