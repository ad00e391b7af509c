"""The shapes of fixtures: the objects that stand beside the road."""

from __future__ import annotations

import math

import numpy as np

from mmkeras.driving.simulation.mesh import Colour, Mesh, MeshBuilder, shade
from mmkeras.driving.simulation.scenery import Fixture

__all__ = ["fixture_mesh"]


def fixture_mesh(fixture: Fixture) -> Mesh:
    """Return the shape of a fixture; equal fixtures have equal shapes."""
    build, rng = MeshBuilder(), np.random.default_rng(fixture.seed)
    {
        "building": _building, "tree": _tree, "bush": _bush, "lamp": _lamp, "pole": _pole,
        "sign": _sign, "signal": _signal, "rail": _rail, "wall": _wall,
    }[fixture.kind](build, fixture, rng)  # fmt: skip
    return build.build()


def _post(build: MeshBuilder, width: float, low: float, high: float, colour: Colour) -> None:
    half = width / 2
    build.box((-half, half), (-half, half), (low, high), colour)


def _building(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    depth, length, height = fixture.size
    half_x, half_y, wall = length / 2, depth / 2, fixture.colour
    build.box((-half_x, half_x), (-half_y, half_y), (0.0, height), wall, lid=shade(wall, 0.7))
    floors = max(2, int(height / 3.0))
    columns = max(2, int(length / rng.uniform(2.6, 4.2)))
    lit = rng.random((4, floors, columns)) < 0.12
    glass = (70, 82, 94) if rng.random() < 0.6 else (96, 104, 110)
    storey = height / floors
    # Windows on the two long sides, which face the street, and bands on the short ones.
    for number, side in enumerate((-1, 1)):
        y, pitch = side * (half_y + 0.02), length / columns
        for floor in range(floors):
            low, high = (floor * storey + 0.3 * storey) if floor else 0.05 * storey, floor * storey + 0.78 * storey
            for column in range(columns):
                left = -half_x + (column + 0.22) * pitch
                right = left + 0.56 * pitch
                build.panel(side, left, right, y, low, high, glass if floor else shade(glass, 0.8))
                if floor and lit[number, floor, column]:
                    build.lamp(((left + right) / 2, y, (low + high) / 2), (255, 190, 110), 0.45, 0.0, 0.25)
    for side in (-1, 1):
        x = side * (half_x + 0.02)
        for floor in range(1, floors):
            low, high = floor * storey + 0.35 * storey, floor * storey + 0.75 * storey
            quad = [(x, -0.7 * half_y, low), (x, 0.7 * half_y, low), (x, 0.7 * half_y, high), (x, -0.7 * half_y, high)]
            build.face(quad if side > 0 else quad[::-1], glass, detail=True)


def _tree(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    width, _, height = fixture.size
    crown, middle = width / 2, height - width * 0.55
    _post(build, 0.28, 0.0, middle, (84, 66, 50))
    for i in range(9):
        angle, out = rng.uniform(0, 2 * math.pi), crown * rng.uniform(0.15, 0.6)
        up = rng.uniform(-0.5, 0.55) * crown
        colour = shade(fixture.colour, 0.72 + 0.05 * i + 0.25 * (up / crown))
        build.disc((out * math.cos(angle), out * math.sin(angle), middle + up), crown * rng.uniform(0.38, 0.62), colour)


def _bush(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    width, length, height = fixture.size
    for i in range(5):
        x, y = rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.4, 0.4) * width
        radius = height * rng.uniform(0.35, 0.5)
        build.disc((x, y, radius * rng.uniform(0.9, 1.2)), radius, shade(fixture.colour, 0.8 + 0.09 * i))


def _lamp(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    height = fixture.size[2]
    _post(build, 0.16, 0.0, height, fixture.colour)
    arm = [(0, 0, height - 0.12), (0, -1.8, height), (0, -1.8, height + 0.1), (0, 0, height)]
    build.face(arm, fixture.colour, both=True)
    head = [(-0.15, -1.7, height), (0.15, -1.7, height), (0.15, -2.2, height), (-0.15, -2.2, height)]
    build.face(head, (210, 208, 196), both=True)
    if rng.random() < 0.5:
        build.lamp((0.0, -1.95, height - 0.05), (255, 200, 130), 0.2, 0.0, 2.0)


def _pole(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    _post(build, fixture.size[0], 0.0, fixture.size[2], shade(fixture.colour, 0.9))
    if fixture.size[2] < 1.8:
        _post(build, fixture.size[0] * 1.2, fixture.size[2] * 0.7, fixture.size[2], (200, 60, 40))


def _sign(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    _, wide, height = fixture.size
    _post(build, 0.07, 0.0, height, (140, 142, 146))
    middle, radius = height - wide / 2, wide / 2
    corners = int(rng.choice([3, 4, 12]))
    rim, face = ((190, 24, 28), (240, 240, 236)) if rng.random() < 0.6 else ((28, 70, 160), (40, 90, 190))
    for scale, colour, x in ((1.0, rim, -0.05), (0.72, face, -0.06)):
        turn = math.pi / 2 if corners == 3 else math.pi / corners
        angles = [turn + 2 * math.pi * i / corners for i in range(corners)]
        ring = [(x, scale * radius * math.cos(a), middle + scale * radius * math.sin(a)) for a in angles]
        build.face(ring, colour, both=True, detail=scale < 1)


def _signal(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    height = fixture.size[2]
    _post(build, 0.12, 0.0, height - 0.9, fixture.colour)
    build.box((-0.15, 0.15), (-0.16, 0.16), (height - 0.9, height), (34, 36, 36))
    for i, colour in enumerate(((70, 255, 140), (90, 70, 20), (255, 50, 40))):
        build.disc((-0.17, 0.0, height - 0.75 + 0.3 * i), 0.1, shade(colour, 0.9), detail=True)


def _rail(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    _, length, height = fixture.size
    build.box((-0.06, 0.06), (-0.06, 0.06), (0.0, height), shade(fixture.colour, 0.6))
    half = length / 2
    for low, high, factor in ((0.45, 0.53, 0.75), (0.53, 0.67, 1.05), (0.67, 0.75, 0.85)):
        quad = [(-half, 0, low), (half, 0, low), (half, 0, high), (-half, 0, high)]
        build.face(quad, shade(fixture.colour, factor), both=True)


def _wall(build: MeshBuilder, fixture: Fixture, rng: np.random.Generator) -> None:
    width, length, height = fixture.size
    half, foot, top = length / 2, width / 2, width / 5
    outline = [(-half, -foot), (half, -foot), (half, foot), (-half, foot)]
    upper = [(-half, -top), (half, -top), (half, top), (-half, top)]
    build.prism(outline, 0.0, height, fixture.colour, top=upper, lid=shade(fixture.colour, 1.15))
    if rng.random() < 0.3:
        for side in (-1, 1):
            y = side * (foot + top) / 2 * 1.1
            build.panel(side, -0.5, 0.5, y, 0.4, 0.55, (210, 60, 40))
