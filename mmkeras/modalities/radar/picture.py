"""How radar points are described in reports without a camera picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmkeras.modalities.radar.spec import read_points

__all__ = ["caption"]


def caption(value: Any) -> str:
    """Return a description of radar points."""
    points = read_points(value)
    if not len(points):
        return "radar: no points"
    away = np.hypot(points[:, 0], points[:, 2])
    moving = int((np.linalg.norm(points[:, 4:7], axis=1) > 1.0).sum())
    return f"radar: {len(points)} points, {away.min():.0f} to {away.max():.0f} m, {moving} moving"
