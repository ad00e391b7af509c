"""Normalises windows of series by their own mean and deviation, or by those of training. numpy only.

Source: Kim et al. 2022, Reversible Instance Normalization (ICLR), as PatchTST uses it. `records.decode` has the same
formulas in the graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["FLAT", "FURTHEST", "normalised"]

FURTHEST = 8.0
"""Standard deviations from the mean at which a number is cut; also the largest mean and logarithm of a deviation."""
FLAT = 1e-9
"""A window whose deviation is a smaller share of its mean is constant."""


def normalised(steps: np.ndarray, spec: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return normalised numbers float32 (length, features), their mask int32 and the level float32 (2 * features,).

    Args:
        steps: float64 (length, features), NaN where a number is missing; its normalised number is 0.
        spec: of the modality, with ``means``, ``deviations`` and ``normalise``.
    """
    there = ~np.isnan(steps)
    known = np.where(there, steps, 0.0)
    count = np.maximum(there.sum(axis=0), 1)
    mean = known.sum(axis=0) / count
    away = np.where(there, known - mean, 0.0)
    deviation = np.sqrt((away**2).sum(axis=0) / count)
    flat = deviation <= FLAT * np.maximum(np.abs(mean), 1e-300)
    deviation = np.where(flat, 1.0, deviation)
    means, deviations = np.array(spec.means), np.array(spec.deviations)
    place = np.clip((mean - means) / deviations, -FURTHEST, FURTHEST)
    spread = np.where(flat, -FURTHEST, np.clip(np.log(deviation / deviations), -FURTHEST, FURTHEST))
    level = np.where(np.tile(there.any(axis=0), 2), np.concatenate([place, spread]), 0.0)
    # Of a constant window only rounding errors would be left.
    own = np.where(flat, 0.0, away) / deviation
    numbers = own if spec.normalise == "window" else (known - means) / deviations
    scaled = np.where(there, np.clip(numbers, -FURTHEST, FURTHEST), 0.0)
    return scaled.astype(np.float32), there.astype(np.int32), level.astype(np.float32)
