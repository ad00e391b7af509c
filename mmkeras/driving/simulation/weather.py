"""Light and air of a scene, by time of day and weather.

- Day: shaded faces; shadows in the sun.
- Dusk: a third of the light, a warm sky, lamps on.
- Night: a fortieth of the light; the ego's headlights fall with the square of the distance and reach about 25 m; of
  objects beyond, only tail lights show. The sensor's gain makes noise.
- Fog: contrast falls to 5 % within 14 to 26 m; at night headlights make the fog brighter.
- Rain: streaks, a blurred picture with drops on the lens, less light, and 5 % of the contrast left at 85 to 155 m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmkeras.driving.simulation.canvas import Shading
from mmkeras.driving.simulation.config import Conditions

__all__ = ["Atmosphere", "atmosphere"]


@dataclass(frozen=True)
class Atmosphere:
    """The light and the air of one scene."""

    shading: Shading
    zenith: tuple[float, float, float]
    """Colour of the sky above, RGB 0 to 255."""
    horizon: tuple[float, float, float]
    """Colour of the sky at the horizon."""
    clouds: float
    """Contrast of the clouds, 0 to 1."""
    reach: float
    """Distance in metres at which contrast has fallen to 1/e."""
    air: tuple[float, float, float]
    headlights: float
    """Brightness of the ego's headlights; 0 is off."""
    glow: float
    """Brightness of lamps; 0 is off."""
    noise: float
    """Standard deviation of the sensor's noise, of 255."""
    rain: float
    wet: bool
    """Whether the road reflects lamps."""

    @property
    def sight(self) -> float:
        """Largest distance in metres at which objects are visible."""
        return min(150.0, 6.0 * self.reach)

    @property
    def veil(self) -> np.ndarray:
        """Colour (3,) of thick air, lit by the ego's headlights."""
        return np.array(self.air, np.float32) + (26.0 if self.headlights == 1.0 and self.reach < 15 else 0.0)

    @property
    def lamps_on(self) -> bool:
        """Whether vehicles and street lamps are lit."""
        return self.glow > 0


def atmosphere(conditions: Conditions, rng: np.random.Generator) -> Atmosphere:
    """Return the light and the air of a scene."""
    night, dusk = conditions.time_of_day == "night", conditions.time_of_day == "dusk"
    fog, rain = conditions.weather == "fog", conditions.weather == "rain"
    elevation = math.radians(rng.uniform(9, 20) if dusk else rng.uniform(25, 62))
    azimuth = rng.uniform(-math.pi, math.pi)
    flat = math.cos(elevation)
    sun = np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])
    shine = conditions.sunny
    exposure = rng.uniform(0.85, 1.12)
    if night:
        shading = Shading(np.zeros(3), 0.0, 0.55, 0.5)
        zenith, horizon = (5.0, 6.0, 12.0), (20.0, 19.0, 24.0)
    elif dusk:
        shading = Shading(sun * shine, 0.22 * exposure * shine, (0.30 + 0.06 * (not shine)) * exposure, 0.05)
        warm, dull = ((62.0, 74.0, 112.0), (208.0, 140.0, 96.0)), ((70.0, 74.0, 88.0), (104.0, 100.0, 104.0))
        zenith, horizon = dull if rain or fog else warm
    else:
        ambient = (0.62 + 0.28 * (not shine)) * exposure * (0.8 if rain else 1.0)
        shading = Shading(sun * shine, 0.55 * exposure * shine, ambient, 0.06)
        grey = 168.0 if rain else 205.0
        overcast = (grey, grey + 4, grey + 10), (grey + 22, grey + 24, grey + 26)
        zenith, horizon = ((104.0, 148.0, 206.0), (206.0, 220.0, 232.0)) if shine else overcast
    reach = rng.uniform(14, 26) / 3 if fog else rng.uniform(60, 110) / 3 * 1.4 if rain else rng.uniform(250, 500)
    level = 0.06 if night else 0.52 if dusk else 1.0
    air = (horizon[0] * 0.9, horizon[1] * 0.9, horizon[2] * 0.92)
    if fog or rain:
        air = (196.0 * level, 200.0 * level, 206.0 * level)
    return Atmosphere(
        shading=shading, zenith=zenith, horizon=horizon, clouds=0.0 if fog else float(rng.uniform(0.1, 0.7)),
        reach=float(reach), air=air, headlights=1.0 if night else 0.25 if dusk else 0.0,
        glow=1.0 if night else 0.6 if dusk else 0.3 if fog or rain else 0.0,
        noise=float(rng.uniform(5.0, 8.0)) if night else 3.2 if dusk else 1.8,
        rain=float(rng.uniform(0.5, 1.0)) if rain else 0.0, wet=rain,
    )  # fmt: skip
