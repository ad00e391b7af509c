"""The perspective camera: a view of the world and a canvas that faces, discs and shadows are painted on.

A picture is painted back to front (painter's algorithm) at twice its size, and reduced. Beside the colours the canvas
keeps which object each pixel shows, so that light, fog and lamps can be added by distance afterwards
(``mmkeras.simulation.weather``) and occlusion can be counted (``mmkeras.simulation.visibility``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.geometry import Pose
from mmkeras.simulation.mesh import Mesh

__all__ = ["Canvas", "LitLamp", "View", "mounting"]

NEAR = 0.4
"""Nothing nearer to the camera's plane is painted, in metres."""
SCALE = 2
SKY, GROUND, FIRST = 0, 1, 2
"""Values of the object map; objects count from ``FIRST``."""
OBJECTS = 250


def mounting(x: float, y: float, z: float, yaw: float, pitch: float) -> Pose:
    """Return the pose camera -> ego of a camera that looks forward.

    Args:
        x: metres ahead of the rear axle.
        y: metres to the left.
        z: metres above the ground.
        yaw: radians to the left.
        pitch: radians downwards.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = _turn(yaw, pitch, 0.0) @ np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    matrix[:3, 3] = (x, y, z)
    return Pose.from_matrix(matrix)


def _turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return the rotation (3, 3) of a vehicle: heading, then nose down, then leaning to the right."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1.0]])
    about_y = np.array([[cp, 0, sp], [0, 1.0, 0], [-sp, 0, cp]])
    about_x = np.array([[1.0, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return np.asarray(about_z @ about_y @ about_x)


@dataclass(frozen=True)
class View:
    """Where a picture is taken from, and how."""

    rotation: np.ndarray
    """Global -> camera (3, 3)."""
    position: np.ndarray
    """Of the camera, global (3,)."""
    focal: float
    """Pixels."""
    width: int
    """Columns."""
    height: int
    """Rows."""

    @classmethod
    def of(cls, ego: Pose, camera: Pose, pitch: float, roll: float, focal: float, size: tuple[int, int]) -> View:
        """Return the view of a camera on a vehicle whose body rocks.

        Args:
            ego: ego -> global.
            camera: camera -> ego.
            pitch: the body's nose down, in radians.
            roll: the body leaning to the right, in radians.
            focal: pixels.
            size: columns and rows.
        """
        rock = np.eye(4)
        rock[:3, :3] = _turn(0.0, pitch, roll)
        matrix = ego.matrix @ rock @ camera.matrix
        return cls(matrix[:3, :3].T, matrix[:3, 3], focal, *size)

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Return global points (N, 3) in the camera's frame."""
        return np.asarray((points - self.position) @ self.rotation.T)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Return pixels (N, 2) of points (N, 3) in the camera's frame; all must lie in front of it."""
        return points[:, :2] * (self.focal / points[:, 2:]) + (self.width / 2, self.height / 2)

    @property
    def horizon(self) -> float:
        """Row of the horizon in the middle column."""
        up = self.rotation[:, 2]
        return float(self.height / 2 + self.focal * up[2] / -up[1]) if up[1] else self.height / 2

    @property
    def heading(self) -> float:
        """Global heading of the optical axis in radians."""
        return math.atan2(self.rotation[2, 1], self.rotation[2, 0])


def clip_near(points: np.ndarray) -> np.ndarray:
    """Return a polygon (N, 3) in the camera's frame without what lies behind the near plane; perhaps empty."""
    inside = points[:, 2] >= NEAR
    if inside.all():
        return points
    kept: list[np.ndarray] = []
    for i in range(len(points)):
        a, b = points[i - 1], points[i]
        if inside[i - 1] != inside[i]:
            kept.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
        if inside[i]:
            kept.append(b)
    return np.array(kept) if len(kept) > 2 else np.empty((0, 3))


@dataclass(frozen=True)
class LitLamp:
    """A light in the picture."""

    column: float
    row: float
    depth: float
    """Metres."""
    radius: float
    """Metres."""
    power: float
    """Relative to a tail light seen straight on."""
    colour: tuple[float, float, float]
    """RGB, 0 to 255."""
    owner: int
    """Value of its object in the object map."""


@dataclass
class Shading:
    """How bright a face is by its direction."""

    sun: np.ndarray
    """Global direction to the sun (3,), or zeros."""
    direct: float
    """Brightness that the sun adds to a face turned to it."""
    ambient: float
    """Brightness of every face."""
    frontal: float
    """Brightness that a face turned to the camera gains, as by one's own headlights."""


@dataclass
class Canvas:
    """A picture being painted."""

    view: View
    shading: Shading
    colours: Image.Image = field(init=False)
    map: Image.Image = field(init=False)
    shadow: Image.Image = field(init=False)
    depths: np.ndarray = field(init=False)
    lamps: list[LitLamp] = field(default_factory=list)
    outlines: dict[int, list[list[float]]] = field(default_factory=dict)
    """Polygons (flat pixel lists) of the objects that were asked to be remembered, by their value in the map."""

    def __post_init__(self) -> None:
        """Start with an empty picture."""
        size = (self.view.width, self.view.height)
        self.colours = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE))
        self.map = Image.new("L", size, SKY)
        self.shadow = Image.new("L", size, 0)
        self.depths = np.full(256, 1e4, np.float32)
        self._draw = ImageDraw.Draw(self.colours)
        self._draw_map = ImageDraw.Draw(self.map)
        self._draw_shadow = ImageDraw.Draw(self.shadow)

    def flat(self, points: np.ndarray, colour: tuple[float, ...], *, new_ground: bool = False) -> None:
        """Paint a polygon of global points (N, 3) on the ground."""
        corners = clip_near(self.view.to_camera(points))
        if len(corners) > 2:
            pixels = self.view.pixels(corners)
            self._draw.polygon((pixels * SCALE).ravel().tolist(), fill=_rgb(colour))
            if new_ground:
                self._draw_map.polygon(pixels.ravel().tolist(), fill=GROUND)

    def darken(self, points: np.ndarray, strength: int) -> None:
        """Throw a shadow onto the ground: the convex hull of global points (N, 3) that lie on it."""
        corners = self.view.to_camera(points)
        if (corners[:, 2] > NEAR).all():
            outline = _hull(self.view.pixels(corners))
            if len(outline) > 2:
                self._draw_shadow.polygon([value for point in outline for value in point], fill=strength)

    def solid(
        self, mesh: Mesh, position: np.ndarray, heading: float, number: int, *, lit: bool, remember: bool = False
    ) -> None:
        """Paint a shape that stands at a global position (3,) with a heading.

        Args:
            mesh: the shape.
            position: of its origin.
            heading: radians.
            number: its value in the object map.
            lit: its lamps shine.
            remember: keep its outline to count occlusion.
        """
        view = self.view
        c, s = math.cos(heading), math.sin(heading)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        camera = (view.position - position) @ turn
        normal = mesh.normal
        two_sided = ~normal.any(axis=1)
        facing = np.einsum("fc,fc->f", normal, camera - mesh.centre)
        chosen = np.flatnonzero((facing > 0) | two_sided)
        if len(mesh.parts) > 1:
            far = -np.linalg.norm((mesh.parts - camera)[:, :2], axis=1)
            chosen = chosen[np.argsort(far[mesh.part[chosen]], kind="stable")]
        corners = mesh.points @ (view.rotation @ turn).T + view.rotation @ (position - view.position)
        depth = float((view.rotation @ (position - view.position))[2])
        self.depths[number] = max(depth, 1.0)
        bright = self._brightness(normal, turn, facing, mesh.centre - camera, two_sided)
        colours = np.clip(mesh.colour * bright[:, None], 0, 255).astype(int).tolist()
        near = bool((corners[:, 2] < NEAR).any())
        if near and (corners[:, 2] < NEAR).all():
            return
        small = view.focal * float(np.ptp(mesh.points[:, 2])) / max(depth, 1.0) < 7.0
        pixels = np.zeros((0, 2)) if near else view.pixels(corners)
        flat = pixels.ravel().tolist()
        large = (pixels * SCALE).ravel().tolist()
        kept = self.outlines.setdefault(number, []) if remember else None
        for face in chosen.tolist():
            detail, radius = mesh.detail[face], mesh.radius[face]
            if detail and small:
                continue
            first, last = mesh.start[face], mesh.start[face + 1]
            fill = tuple(colours[face])
            if near:
                polygon = clip_near(corners[first:last])
                if len(polygon) < 3:
                    continue
                at = view.pixels(polygon)
                self._draw.polygon((at * SCALE).ravel().tolist(), fill=fill)
                outline = at.ravel().tolist()
            elif radius:
                size = view.focal * radius / corners[first, 2]
                x, y = flat[2 * first : 2 * first + 2]
                box = [(x - size) * SCALE, (y - size) * SCALE, (x + size) * SCALE, (y + size) * SCALE]
                self._draw.ellipse(box, fill=fill)
                d = 0.7 * size
                outline = [
                    x - size,
                    y,
                    x - d,
                    y + d,
                    x,
                    y + size,
                    x + d,
                    y + d,
                    x + size,
                    y,
                    x + d,
                    y - d,
                    x,
                    y - size,
                    x - d,
                    y - d,
                ]
            else:
                self._draw.polygon(large[2 * first : 2 * last], fill=fill)
                outline = flat[2 * first : 2 * last]
            if not detail:
                self._draw_map.polygon(outline, fill=number)
                if kept is not None:
                    kept.append(outline)
        if lit and not near:
            self._light(mesh, camera, turn, position, number)

    def _brightness(
        self, normal: np.ndarray, turn: np.ndarray, facing: np.ndarray, ray: np.ndarray, two_sided: np.ndarray
    ) -> np.ndarray:
        shading = self.shading
        sun = normal @ (shading.sun @ turn)
        upward = 0.9 + 0.1 * normal[:, 2]
        frontal = facing / np.maximum(np.linalg.norm(ray, axis=1), 1e-6)
        bright = (
            shading.ambient * upward + shading.direct * np.maximum(sun, 0) + shading.frontal * np.maximum(frontal, 0)
        )
        soft = shading.ambient + 0.6 * shading.direct + 0.7 * shading.frontal
        return np.asarray(np.where(two_sided, soft, bright))

    def _light(self, mesh: Mesh, camera: np.ndarray, turn: np.ndarray, position: np.ndarray, number: int) -> None:
        for lamp in mesh.lamps:
            ray = camera - np.array(lamp.position)
            aim = 1.0 if not lamp.forward else lamp.forward * ray[0] / max(float(np.linalg.norm(ray)), 1e-6)
            if aim <= 0.1:
                continue
            at = self.view.to_camera((turn @ np.array(lamp.position) + position)[None])
            if at[0, 2] > 1.0:
                column, row = self.view.pixels(at)[0]
                power = lamp.power * aim ** (4.0 if lamp.power > 2 else 1.0)
                self.lamps.append(LitLamp(column, row, float(at[0, 2]), lamp.radius, power, lamp.colour, number))


def _rgb(colour: tuple[float, ...]) -> tuple[int, int, int]:
    red, green, blue = (int(min(max(value, 0), 255)) for value in colour)
    return (red, green, blue)


def _hull(points: np.ndarray) -> list[tuple[float, float]]:
    """Return the convex hull of points (N, 2) in order (Andrew's monotone chain)."""
    ordered = sorted(map(tuple, points.tolist()))
    halves: list[list[tuple[float, float]]] = []
    for sequence in (ordered, ordered[::-1]):
        chain: list[tuple[float, float]] = []
        for p in sequence:
            while len(chain) > 1 and (
                (chain[-1][0] - chain[-2][0]) * (p[1] - chain[-2][1]) - (chain[-1][1] - chain[-2][1]) * (p[0] - chain[-2][0])
            ) <= 0:  # fmt: skip
                chain.pop()
            chain.append(p)
        halves.append(chain[:-1])
    return halves[0] + halves[1]
