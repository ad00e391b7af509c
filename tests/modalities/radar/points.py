"""Radar points for tests."""

from __future__ import annotations

import numpy as np


def random_points(count: int, seed: int = 0) -> np.ndarray:
    """Return points (N, 8) in front of, beside and behind the camera, with moving and standing ones."""
    rng = np.random.default_rng(seed)
    away, angle = rng.uniform(0.2, 100, count), rng.uniform(-1.2, 1.2, count)
    x, z = away * np.sin(angle), away * np.cos(angle) * rng.choice([1, 1, 1, -1], count)
    speed = rng.normal(0, 8, count) * rng.integers(0, 2, count)
    columns = [x, rng.uniform(-1, 2, count), z, rng.normal(5, 8, count), speed * np.sin(angle), 0 * x]
    columns += [speed * np.cos(angle), rng.integers(0, 6, count) * 0.077]
    return np.stack(columns, axis=1).astype(np.float32)
