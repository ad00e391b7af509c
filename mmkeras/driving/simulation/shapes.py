"""The shapes of road users."""

from __future__ import annotations

import math

from mmkeras.driving.simulation.agents import Agent
from mmkeras.driving.simulation.mesh import Colour, Mesh, MeshBuilder, shade

__all__ = ["agent_mesh"]

GLASS: Colour = (46, 56, 66)
TYRE: Colour = (24, 24, 26)
RIM: Colour = (120, 122, 126)
TAIL: Colour = (168, 16, 14)
HEAD: Colour = (206, 208, 204)
PLATE: Colour = (226, 224, 210)


def agent_mesh(agent: Agent, phase: float) -> Mesh:
    """Return the shape of a road user; ``phase`` is that of the gait or the pedals in radians."""
    build = MeshBuilder()
    if agent.kind == "car":
        _car(build, agent)
    elif agent.kind == "truck":
        _truck(build, agent)
    elif agent.kind == "pedestrian":
        _walker(build, agent, phase if agent.speed or agent.sideways else 0.35)
    else:
        _cyclist(build, agent, phase)
    return build.build()


def _outline(back: float, front: float, half: float) -> list[tuple[float, float]]:
    return [(back, -half), (front, -half), (front, half), (back, half)]


def _wheels(build: MeshBuilder, at: list[float], half: float, radius: float) -> None:
    for x in at:
        for side in (-1, 1):
            for size, colour in ((radius, TYRE), (radius * 0.55, RIM)):
                y, angles = side * (half + 0.01), [a * math.pi / 5 for a in range(10)]
                ring = [(x + size * math.cos(a), y, radius + size * math.sin(a)) for a in angles]
                build.face(ring if side < 0 else ring[::-1], colour, detail=True)


def _rear(build: MeshBuilder, x: float, half: float, low: float, high: float) -> None:
    """Add tail lights and a plate to the rear end of a vehicle."""
    top, bottom, x = low + 0.86 * (high - low), low + 0.55 * (high - low), x - 0.01
    for side in (-1, 1):
        left, right = max(side * half * 0.55, side * half * 0.97), min(side * half * 0.55, side * half * 0.97)
        build.face([(x, left, bottom), (x, right, bottom), (x, right, top), (x, left, top)], TAIL, detail=True)
        build.lamp((x - 0.01, (left + right) / 2, (top + bottom) / 2), (255, 40, 24), 0.09, -1.0, 1.0)
    top, bottom = low + 0.5 * (high - low), low + 0.3 * (high - low)
    build.face([(x, 0.26, bottom), (x, -0.26, bottom), (x, -0.26, top), (x, 0.26, top)], PLATE, detail=True)


def _front(build: MeshBuilder, x: float, half: float, low: float, high: float) -> None:
    """Add headlights and a grille to the front end of a vehicle."""
    top, bottom, x = low + 0.84 * (high - low), low + 0.6 * (high - low), x + 0.01
    for side in (-1, 1):
        left, right = max(side * half * 0.64, side * half * 0.97), min(side * half * 0.64, side * half * 0.97)
        build.face([(x, right, bottom), (x, left, bottom), (x, left, top), (x, right, top)], HEAD, detail=True)
        build.lamp((x + 0.01, (left + right) / 2, (top + bottom) / 2), (255, 244, 214), 0.10, 1.0, 5.0)
    wide, bottom = half * 0.5, low + 0.3 * (high - low)
    build.face([(x, -wide, bottom), (x, wide, bottom), (x, wide, top), (x, -wide, top)], (30, 30, 32), detail=True)


def _car(build: MeshBuilder, agent: Agent) -> None:
    width, length, height = agent.size
    half, paint = width / 2, agent.colours[0]
    van = height > 1.65
    back, front = -length / 2, length / 2
    low, waist = 0.22, height * (0.58 if van else 0.62)
    sill = low + 0.25 * (waist - low)
    build.prism(_outline(back, front, half), low, sill, shade(paint, 0.62))
    build.prism(_outline(back, front, half), sill, waist, paint, top=_outline(back + 0.05, front - 0.12, half * 0.97))
    _wheels(build, [back + 0.19 * length, front - 0.19 * length], half, 0.33)
    _rear(build, back, half, low, waist)
    _front(build, front - 0.06, half * 0.98, low, waist)
    rear, nose = (0.03, 0.26) if van else (0.12, 0.30)
    foot = _outline(back + rear * length, front - nose * length, half * 0.93)
    roof = _outline(back + (rear + (0.03 if van else 0.10)) * length, front - (nose + 0.14) * length, half * 0.76)
    build.prism(foot, waist, height - 0.05, GLASS, top=roof, lid=shade(paint, 1.05))
    lip = height - 0.05
    build.prism(roof, lip, height, shade(paint, 0.9), lid=shade(paint, 1.1))
    x_mid = (foot[0][0] + foot[1][0]) / 2
    for side in (-1, 1):
        pillar = [(x_mid - 0.05, side * half * 0.935, waist), (x_mid + 0.05, side * half * 0.935, waist),
                  (x_mid + 0.04, side * half * 0.765, lip), (x_mid - 0.06, side * half * 0.765, lip)]  # fmt: skip
        build.face(pillar if side < 0 else pillar[::-1], shade(paint, 0.8), detail=True)


def _truck(build: MeshBuilder, agent: Agent) -> None:
    width, length, height = agent.size
    half, paint = width / 2, agent.colours[0]
    back, front = -length / 2, length / 2
    cab = front - min(2.2, 0.32 * length)
    cargo = (200, 200, 196) if sum(paint) % 2 else shade(paint, 0.9)
    build.prism(_outline(back, cab - 0.15, half * 0.9), 0.45, 0.95, (52, 52, 54))
    build.prism(_outline(back, cab - 0.15, half), 0.95, height, cargo, lid=shade(cargo, 1.1))
    for share in (0.33, 0.66):
        x = back + share * (cab - back)
        for side in (-1, 1):
            build.panel(side, x - 0.03, x + 0.03, side * (half + 0.01), 1.0, height - 0.05, shade(cargo, 0.72))
    x, door = back - 0.01, height - 0.1
    build.face([(x, 0.03, 1.0), (x, -0.03, 1.0), (x, -0.03, door), (x, 0.03, door)], shade(cargo, 0.6), detail=True)
    _wheels(build, [back + 0.16 * length], half, 0.46)
    _rear(build, back, half, 0.45, 1.0)
    build.next_part()
    top = min(height - 0.15, 2.7)
    roof = _outline(cab, front - 0.18, half * 0.93)
    build.prism(_outline(cab, front, half * 0.96), 0.4, top, paint, top=roof, lid=shade(paint, 1.1))
    glass = [(front - 0.07, -half * 0.85, 1.45), (front - 0.07, half * 0.85, 1.45),
             (front - 0.14, half * 0.82, top - 0.2), (front - 0.14, -half * 0.82, top - 0.2)]  # fmt: skip
    build.face(glass, GLASS, detail=True)
    for side in (-1, 1):
        y = side * half * 0.965
        lip = top - 0.25
        window = [(cab + 0.5, y, 1.45), (front - 0.3, y, 1.45), (front - 0.4, y, lip), (cab + 0.5, y, lip)]
        build.face(window if side < 0 else window[::-1], GLASS, detail=True)
    _wheels(build, [front - 0.8], half * 0.97, 0.46)
    _front(build, front, half * 0.95, 0.4, 1.15)


def _limb(
    build: MeshBuilder, top: tuple[float, float, float], foot: tuple[float, float, float], wide: float, colour: Colour
) -> None:
    """Add an arm or a leg as two crossed slabs."""
    for dx, dy in ((0.0, wide / 2), (wide / 2, 0.0)):
        build.face(
            [
                (top[0] - dx, top[1] - dy, top[2]), (top[0] + dx, top[1] + dy, top[2]),
                (foot[0] + dx, foot[1] + dy, foot[2]), (foot[0] - dx, foot[1] - dy, foot[2]),
            ],
            colour, both=True,
        )  # fmt: skip


def _trunk(build: MeshBuilder, agent: Agent, x: float, low: float, lean: float) -> None:
    """Add a person's upper body without arms, and the head."""
    width, _, height = agent.size
    coat, _, skin = agent.colours
    shoulder, neck = min(width / 2 - 0.1, 0.25), height - 0.27
    top = _outline(x + lean - 0.11, x + lean + 0.11, shoulder)
    build.prism(_outline(x - 0.11, x + 0.11, shoulder * 0.78), low, neck, coat, top=top)
    build.disc((x + lean * 1.2, 0.0, height - 0.13), 0.125, shade(skin, 0.55))
    build.disc((x + lean * 1.2 + 0.04, 0.0, height - 0.15), 0.105, skin, detail=True)


def _walker(build: MeshBuilder, agent: Agent, phase: float) -> None:
    width, length, height = agent.size
    coat, trousers, skin = agent.colours
    hip, swing = 0.5 * height, min(0.24, length / 2 - 0.12) * math.sin(phase)
    shoulder = min(width / 2 - 0.1, 0.25)
    for side, sign in ((-1, 1), (1, -1)):
        _limb(build, (0.0, side * 0.09, hip), (sign * swing, side * 0.09, 0.06), 0.17, trousers)
        build.disc((sign * swing + 0.04, side * 0.09, 0.05), 0.07, (26, 24, 24))
    _trunk(build, agent, 0.0, hip - 0.05, 0.02)
    for side, sign in ((-1, -1), (1, 1)):
        y = side * (shoulder + 0.04)
        _limb(build, (0.0, y, height - 0.32), (sign * swing * 0.8, y, hip - 0.02), 0.1, shade(coat, 0.82))
        build.disc((sign * swing * 0.8, y, hip - 0.04), 0.05, skin)


def _cyclist(build: MeshBuilder, agent: Agent, phase: float) -> None:
    _, length, height = agent.size
    coat, trousers, _ = agent.colours
    frame = shade(coat, 1.2) if sum(trousers) % 2 else (40, 40, 44)
    radius = 0.34
    for x in (-length / 2 + radius, length / 2 - radius):
        for a in range(10):
            corners = [(angle, r) for angle, r in ((a, 0.34), (a + 1, 0.34), (a + 1, 0.28), (a, 0.28))]
            ring = [(x + r * math.cos(b * math.pi / 5), 0.0, 0.34 + r * math.sin(b * math.pi / 5)) for b, r in corners]
            build.face(ring, TYRE, both=True)
        build.face([(x, -0.03, 0.02), (x, 0.03, 0.02), (x, 0.03, 2 * radius), (x, -0.03, 2 * radius)], TYRE, both=True)
    saddle, bars = (-0.22, 0.92), (0.42, 1.0)
    for (x1, z1), (x2, z2) in (
        ((-length / 2 + radius, radius), saddle), (saddle, (0.0, 0.36)), ((0.0, 0.36), bars),
        (bars, (length / 2 - radius, radius)), ((-length / 2 + radius, radius), (0.0, 0.36)),
    ):  # fmt: skip
        build.face([(x1, 0, z1 - 0.03), (x2, 0, z2 - 0.03), (x2, 0, z2 + 0.03), (x1, 0, z1 + 0.03)], frame, both=True)
    build.face([(0.42, -0.25, 1.0), (0.42, 0.25, 1.0), (0.42, 0.25, 1.06), (0.42, -0.25, 1.06)], frame, both=True)
    for side, turn in ((-1, 0.0), (1, math.pi)):
        pedal = (0.17 * math.cos(phase + turn), 0.36 + 0.17 * math.sin(phase + turn))
        knee = (0.12 + pedal[0] * 0.5, 0.66 + (pedal[1] - 0.36) * 0.6)
        y = side * 0.1
        _limb(build, (-0.18, y, 0.95), (knee[0], y, knee[1]), 0.16, trousers)
        _limb(build, (knee[0], y, knee[1]), (pedal[0], y, pedal[1]), 0.13, trousers)
        _limb(build, (0.12, side * 0.2, height - 0.36), (0.42, side * 0.22, 1.04), 0.1, shade(coat, 0.85))
    _trunk(build, agent, -0.14, 0.88, 0.28)
    build.disc((0.2, 0.0, height - 0.1), 0.1, shade(coat, 0.75), detail=True)
    build.lamp((-length / 2 + 0.1, 0.0, 0.7), (255, 40, 24), 0.04, -1.0, 0.35)
    build.lamp((length / 2 - 0.2, 0.0, 0.9), (255, 250, 230), 0.04, 1.0, 1.0)
