"""Paints one moment of a world: ground, road and shadows, then fixtures and road users from far to near."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.camera import View
from mmkeras.driving.simulation.canvas import FIRST, OBJECTS, Canvas
from mmkeras.driving.simulation.fixture_shapes import fixture_mesh
from mmkeras.driving.simulation.roads import Road
from mmkeras.driving.simulation.shapes import agent_mesh
from mmkeras.driving.simulation.weather import Atmosphere
from mmkeras.driving.simulation.world import World

__all__ = ["Painter"]

FAR = 150.0
"""Metres ahead up to which roads are painted."""
ASPHALT, PARKING, PAVEMENT, GRASS, PAVED = (88, 88, 92), (82, 81, 84), (142, 138, 132), (92, 112, 62), (120, 118, 108)
PAINT = (222, 222, 216)


@dataclass
class Painter:
    """Paints the pictures of one world."""

    world: World
    air: Atmosphere

    def __post_init__(self) -> None:
        """Place the fixtures once."""
        sizes = np.array([agent.size for agent in self.world.agents])
        self._reach, self._tall = sizes[:, 1] / 2 + 0.5, sizes[:, 2]
        sizes = np.array([fixture.size for fixture in self.world.fixtures]).reshape(-1, 3)
        self._fixture_reach, self._fixture_tall = np.hypot(sizes[:, 0], sizes[:, 1]) / 2 + 2.0, sizes[:, 2]
        fixtures = self.world.fixtures
        xy = np.array([fixture.position for fixture in fixtures]).reshape(-1, 2)
        self._spots = self.world.ground.lift(xy)
        self._headings = [fixture.heading for fixture in fixtures]
        self._mesh = functools.cache(lambda i: fixture_mesh(fixtures[i]))
        self._agent_mesh = functools.cache(lambda i, phase: agent_mesh(self.world.agents[i], phase / 4))

    def paint(self, view: View, time: float) -> tuple[Canvas, dict[int, int]]:
        """Return the painted canvas and, by agent index, its value in the object map."""
        canvas = Canvas(view, self.air.shading)
        world = self.world
        position, heading, _ = world.tracks.at(time)
        feet = world.ground.lift(position)
        self._ground(canvas, view)
        self._shadows(canvas, view, feet, heading)
        # Houses never hide road users of the main road, so these are painted after them.
        jobs: list[tuple[int, float, bool, int]] = []
        border = world.roads[0].border + 0.2
        spots = view.to_camera(feet)
        for i in np.flatnonzero(self._inside(view, spots, self._reach, self._tall)).tolist():
            if i:
                road = world.roads[0]
                near = world.agents[i].road == 0 or np.linalg.norm(road.centre - position[i], axis=1).min() < border
                jobs.append((int(near), -float(np.hypot(spots[i, 0], spots[i, 2])), True, i))
        spots = view.to_camera(self._spots)
        for i in np.flatnonzero(self._inside(view, spots, self._fixture_reach, self._fixture_tall)).tolist():
            building = world.fixtures[i].kind == "building"
            distance = float(np.hypot(spots[i, 0], spots[i, 2])) - (self._fixture_reach[i] * 0.8 if building else 0.0)
            jobs.append((int(not building), -distance, False, i))
        jobs.sort()
        numbers: dict[int, int] = {}
        for number, (_, _, moving, i) in enumerate(jobs[-OBJECTS:], FIRST):
            if moving:
                agent = world.agents[i]
                numbers[i] = number
                gait = 2 * math.pi * time * (0.95 if agent.kind == "pedestrian" else 1.1) + i
                mesh = self._agent_mesh(i, round(gait * 4) % 25 if agent.person else 0)
                lit = self.air.lamps_on and not agent.parked
                canvas.solid(mesh, feet[i], float(heading[i]), number, lit=lit, remember=True)
            else:
                canvas.solid(self._mesh(i), self._spots[i], self._headings[i], number, lit=self.air.lamps_on)
        return canvas, numbers

    def _inside(self, view: View, spots: np.ndarray, reach: np.ndarray, tall: np.ndarray) -> np.ndarray:
        """Return bool (N,): whether objects at points (N, 3) of the camera's frame may show in the picture."""
        depth = spots[:, 2]
        wide = depth * (view.width / 2 / view.focal) + 1.35 * reach + 1.0
        size = tall * view.focal / np.maximum(depth, 1.0)
        return np.asarray((depth > -reach) & (depth < self.air.sight) & (np.abs(spots[:, 0]) < wide) & (size > 4.0))

    def _ground(self, canvas: Canvas, view: View) -> None:
        world, c, s = self.world, math.cos(view.heading), math.sin(view.heading)
        along, left = np.array([c, s]), np.array([-s, c])
        rows = []
        for distance in (400.0, 160.0, 90.0, 60.0, 40.0, 28.0, 20.0, 14.0, 9.0, 5.0, 1.5):
            across = np.linspace(-1.2, 1.2, 7)[:, None] * (distance + 6.0) * left
            rows.append(world.ground.lift(view.position[:2] + distance * along + across))
        base = PAVED if world.request.conditions.surroundings == "city" else GRASS
        for far, near in itertools.pairwise(rows):
            canvas.flat(np.concatenate([far, near[::-1]]), base)
        road = world.roads[0]
        if len(world.roads) > 1:
            street = world.roads[1]
            for d, colour in ((street.border, PAVEMENT), (street.half, ASPHALT)):
                self._strip(canvas, street, -80.0, 80.0, -d, d, colour, 6.0)
        s = road.start + float(np.argmin(np.linalg.norm(road.centre - view.position[:2], axis=1)))
        if road.pavement:
            self._strip(canvas, road, s, s + FAR, -road.border, road.border, PAVEMENT, 5.0, gap=True)
        self._strip(canvas, road, s, s + FAR, -road.half, road.half, PARKING, 5.0)
        edge = road.lanes * road.lane_width
        self._strip(canvas, road, s, s + FAR, -edge, edge, ASPHALT, 5.0)
        if len(world.roads) > 1 and world.crossing is not None:
            half = world.roads[1].half
            self._strip(canvas, world.roads[1], -road.border - 1, road.border + 1, -half, half, ASPHALT, 4.0)
        self._markings(canvas, road, s)

    def _strip(
        self, canvas: Canvas, road: Road, first: float, last: float, right: float, left: float,
        colour: tuple[int, int, int], step: float, *, gap: bool = False,
    ) -> None:  # fmt: skip
        """Paint the part of a road between two positions and two distances from its centre line."""
        pieces = [(first, last)]
        if gap and self.world.crossing is not None:
            half = self.world.roads[1].half
            pieces = [(first, min(last, self.world.crossing - half)), (max(first, self.world.crossing + half), last)]
        for start, end in pieces:
            if end - start > 0.05:
                s = np.linspace(start, end, max(2, math.ceil((end - start) / step) + 1))
                a, b = road.at(s, right)[0], road.at(s, left)[0]
                canvas.flat(self.world.ground.lift(np.concatenate([a, b[::-1]])), colour)

    def _markings(self, canvas: Canvas, road: Road, s: float) -> None:
        """Paint lines, dashes, crosswalks and stop lines as quads between two s and two d."""
        edge, far = road.lanes * road.lane_width, s + 85.0
        pieces = np.arange(math.floor(s / 4.0) * 4.0, far, 4.0)
        dashes = np.arange(math.floor((s - road.start) / 9.0) * 9.0 + road.start, far, 9.0)
        quads = [(a, a + 4.0, side * (edge - 0.12), 0.14) for side in (-1, 1) for a in pieces]
        if road.lanes > 1:
            quads += [(a, a + 4.0, d, 0.12) for d in (-0.12, 0.12) for a in pieces]
        between = [0.0] if road.lanes == 1 else [-road.lane_width, road.lane_width]
        quads += [(a, a + 3.5, d, 0.15) for d in between for a in dashes]
        crossing = self.world.crossing
        if crossing is not None:
            clear = self.world.roads[1].half + 4.2
            quads = [quad for quad in quads if quad[1] < crossing - clear or quad[0] > crossing + clear]
            if abs(crossing - s) < 70:
                for way in (-1, 1):
                    near = crossing + way * (self.world.roads[1].half + 0.6)
                    stripes = np.arange(0.65 - road.half, road.half - 0.4, 1.0)
                    quads += [(near, near + way * 2.6, d, 0.5) for d in stripes]
                    stop = near + way * 3.4
                    quads.append((stop, stop + way * 0.4, way * (edge + 0.1) / 2, edge - 0.1))
        first, last, d, width = np.array(quads).T
        corners = (
            np.stack([first, first, last, last], axis=1),
            np.stack([d - width / 2, d + width / 2, d + width / 2, d - width / 2], axis=1),
        )
        canvas.flats(self.world.ground.lift(road.at(*corners)[0]), PAINT)

    def _shadows(self, canvas: Canvas, view: View, feet: np.ndarray, heading: np.ndarray) -> None:
        sun, ground = self.air.shading.sun, self.world.ground
        things = [(feet[i], float(heading[i]), self.world.agents[i].size, True) for i in range(1, len(feet))]
        if sun.any():
            things += [
                (self._spots[i], fixture.heading, fixture.size, False)
                for i, fixture in enumerate(self.world.fixtures)
                if fixture.kind in ("building", "tree", "lamp", "wall")
            ]
        for spot, angle, (width, length, height), moving in things:
            ahead = view.to_camera(spot[None])[0]
            if not (0.0 < ahead[2] < 70.0 and abs(ahead[0]) < ahead[2] + 15):
                continue
            along, left = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
            base = np.array(
                [spot[:2] + a * length / 2 * along + b * width / 2 * left for a in (-1, 1) for b in (-1, 1)]
            )
            if sun.any():
                tip = base - sun[:2] * (min(height, 12.0) / max(sun[2], 0.15))
                canvas.darken(ground.lift(np.concatenate([base, tip])), 150)
            if moving:
                canvas.darken(ground.lift(base), 190)
