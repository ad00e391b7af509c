"""The canvas that ground, shadows and shapes are painted on.

A picture is painted back to front (painter's algorithm) at twice its size, and reduced. Besides the colours, the canvas
stores which object each pixel shows: light, fog and lamps are added by distance (``exposure``), and occlusion is
counted (``scene_writer``).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from mmkeras.driving.simulation.camera import NEAR, View, clip_near
from mmkeras.driving.simulation.mesh import Mesh

__all__ = ["Canvas", "LitLamp", "Shading"]

SCALE = 2
SKY, GROUND, FIRST = 0, 1, 2
"""Values of the object map; objects count from ``FIRST``."""
OBJECTS = 250
"""Most objects in a picture; the farthest are left out."""
SMALL = 9.0
"""Height in pixels below which the details of a shape are left out."""
OCTAGON = ((-1, 0), (-0.7, 0.7), (0, 1), (0.7, 0.7), (1, 0), (0.7, -0.7), (0, -1), (-0.7, -0.7))


@dataclass(frozen=True)
class LitLamp:
    """A light in the picture."""

    column: float
    row: float
    depth: float
    radius: float
    power: float
    """Relative to a tail light seen straight on."""
    colour: tuple[float, float, float]
    owner: int
    """Value of its object in the object map."""


@dataclass
class Shading:
    """The brightness of a face by its direction."""

    sun: np.ndarray
    """Global direction to the sun (3,), or zeros."""
    direct: float
    """Brightness that the sun adds to a face turned towards it."""
    ambient: float
    """Brightness of every face."""
    frontal: float
    """Brightness that the ego's headlights add to a face turned towards the camera."""


@dataclass
class Canvas:
    """A picture while it is painted."""

    view: View
    shading: Shading
    image: Image.Image = field(init=False)
    """Four plain bands at twice the size: red, green, blue and the number of the object; Pillow calls that CMYK."""
    shadow: Image.Image = field(init=False)
    """Darkness of the ground, at the picture's size."""
    depths: np.ndarray = field(init=False)
    """Distance (256,) of each object in metres, by number."""
    lamps: list[LitLamp] = field(default_factory=list)
    outlines: dict[int, list[list[float]]] = field(default_factory=dict)
    """Polygons (flat lists of pixels at twice the size) of the remembered objects, by number."""

    def __post_init__(self) -> None:
        """Start with an empty picture."""
        size = (self.view.width, self.view.height)
        self.image = Image.new("CMYK", (size[0] * SCALE, size[1] * SCALE))
        self.shadow = Image.new("L", size, 0)
        self.depths = np.full(256, 1e4, np.float32)
        self._draw = ImageDraw.Draw(self.image)
        self._draw_shadow = ImageDraw.Draw(self.shadow)

    @property
    def colours(self) -> np.ndarray:
        """The painted colours (height, width, 3) uint8, without light and air."""
        return np.asarray(self.image.reduce(SCALE))[..., :3]

    @functools.cached_property
    def objects(self) -> np.ndarray:
        """The number of the object that each pixel shows (height, width) uint8; cached, so read it after painting."""
        return np.asarray(self.image.getchannel("K"))[::SCALE, ::SCALE].copy()

    def flat(self, points: np.ndarray, colour: tuple[int, int, int]) -> None:
        """Paint a polygon of global points (N, 3) on the ground."""
        corners = clip_near(self.view.to_camera(points))
        if len(corners) > 2:
            self._draw.polygon(self._large(corners).ravel().tolist(), fill=(*colour, GROUND))

    def flats(self, points: np.ndarray, colour: tuple[int, int, int]) -> None:
        """Paint quads of global points (N, 4, 3) on the ground."""
        corners = self.view.to_camera(points.reshape(-1, 3)).reshape(-1, 4, 3)
        fill, ahead = (*colour, GROUND), corners[..., 2] >= NEAR
        whole = corners[ahead.all(1)]
        for quad in self._large(whole.reshape(-1, 3)).reshape(-1, 8).tolist():
            self._draw.polygon(quad, fill=fill)
        for quad in corners[ahead.any(1) & ~ahead.all(1)]:
            self._draw.polygon(self._large(clip_near(quad)).ravel().tolist(), fill=fill)

    def darken(self, points: np.ndarray, strength: int) -> None:
        """Paint a shadow on the ground: the convex hull of global points (N, 3) on the ground."""
        corners = self.view.to_camera(points)
        if (corners[:, 2] > NEAR).all():
            outline = _hull(self.view.pixels(corners))
            if len(outline) > 2:
                self._draw_shadow.polygon([value for point in outline for value in point], fill=strength)

    def solid(
        self, mesh: Mesh, position: np.ndarray, heading: float, number: int, *, lit: bool, remember: bool = False
    ) -> None:
        """Paint a shape that stands at a global position (3,) with a heading in radians.

        ``number`` is its value in the object map; ``lit`` turns its lamps on; ``remember`` stores its outline, from
        which occlusion is counted.
        """
        view = self.view
        c, s = math.cos(heading), math.sin(heading)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        camera = (view.position - position) @ turn
        corners = mesh.points @ (view.rotation @ turn).T + view.rotation @ (position - view.position)
        near = bool((corners[:, 2] < NEAR).any())
        if near and (corners[:, 2] < NEAR).all():
            return
        facing = np.einsum("fc,fc->f", mesh.normal, camera - mesh.centre)
        chosen = np.flatnonzero((facing > 0) | mesh.flat)
        if len(mesh.parts) > 1:
            far = -np.linalg.norm((mesh.parts - camera)[:, :2], axis=1)
            chosen = chosen[np.argsort(far[mesh.part[chosen]], kind="stable")]
        depth = max(float(view.rotation[2] @ (position - view.position)), 1.0)
        self.depths[number] = depth
        bright = self._brightness(mesh, turn, facing, camera)
        colours = np.full((len(bright), 4), number)
        colours[:, :3] = np.minimum(mesh.colour * bright[:, None], 255)
        fills = list(map(tuple, colours.tolist()))
        small = view.focal * mesh.height / depth < SMALL
        flat = [] if near else self._large(corners).ravel().tolist()
        kept = self.outlines.setdefault(number, []) if remember else None
        for face in chosen.tolist():
            detail, radius = mesh.detail[face], mesh.radius[face]
            if detail and small:
                continue
            first, last = mesh.start[face], mesh.start[face + 1]
            if near:
                outline = self._large(clip_near(corners[first:last])).ravel().tolist()
                if len(outline) < 6:
                    continue
                self._draw.polygon(outline, fill=fills[face])
            elif radius:
                size = SCALE * view.focal * radius / corners[first, 2]
                x, y = flat[2 * first : 2 * first + 2]
                self._draw.ellipse([x - size, y - size, x + size, y + size], fill=fills[face])
                outline = [value for dx, dy in OCTAGON for value in (x + dx * size, y + dy * size)] if remember else []
            else:
                outline = flat[2 * first : 2 * last]
                self._draw.polygon(outline, fill=fills[face])
            if kept is not None:
                kept.append(outline)
        if lit and not near:
            self._light(mesh, camera, turn, position, number)

    def _large(self, points: np.ndarray) -> np.ndarray:
        """Return pixels (N, 2) of the enlarged picture."""
        return self.view.pixels(points) * SCALE

    def _brightness(self, mesh: Mesh, turn: np.ndarray, facing: np.ndarray, camera: np.ndarray) -> np.ndarray:
        """Return the brightness (F,) of the faces of a shape."""
        shading = self.shading
        bright = shading.ambient * (0.9 + 0.1 * mesh.normal[:, 2])
        if shading.direct:
            bright += shading.direct * np.maximum(mesh.normal @ (shading.sun @ turn), 0)
        distance = math.sqrt(float(camera @ camera))
        bright += (shading.frontal / max(distance, 0.5)) * np.clip(facing, 0, distance)
        bright[mesh.flat] = shading.ambient + 0.6 * shading.direct + 0.7 * shading.frontal
        return bright

    def _light(self, mesh: Mesh, camera: np.ndarray, turn: np.ndarray, position: np.ndarray, number: int) -> None:
        """Add the lamps of a shape that shine towards the camera at ``camera`` (3,) in the shape's frame."""
        if not mesh.lamps:
            return
        places = np.array([lamp.position for lamp in mesh.lamps])
        rays = camera - places
        aims = rays[:, 0] / np.maximum(np.sqrt((rays**2).sum(1)), 1e-6)
        ahead = self.view.to_camera(places @ turn.T + position)
        for lamp, aim, at in zip(mesh.lamps, aims.tolist(), ahead, strict=True):
            aim = lamp.forward * aim if lamp.forward else 1.0
            if aim > 0.1 and at[2] > 1.0:
                column, row = self.view.pixels(at[None])[0].tolist()
                # Headlights are focused: from the side they lose more brightness than tail lights.
                power = lamp.power * aim ** (4.0 if lamp.power > 2 else 1.0)
                self.lamps.append(LitLamp(column, row, float(at[2]), lamp.radius, power, lamp.colour, number))


def _hull(points: np.ndarray) -> list[tuple[float, float]]:
    """Return the convex hull of points (N, 2) in order (Andrew's monotone chain)."""
    ordered = sorted(map(tuple, points.tolist()))
    halves: list[list[tuple[float, float]]] = []
    for sequence in (ordered, ordered[::-1]):
        chain: list[tuple[float, float]] = []
        for p in sequence:
            while len(chain) > 1:
                a, b = chain[-2:]
                if (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0:  # a left turn
                    break
                chain.pop()
            chain.append(p)
        halves.append(chain[:-1])
    return halves[0] + halves[1]
