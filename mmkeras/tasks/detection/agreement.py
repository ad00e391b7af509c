"""Comparison of two models' detections. numpy only."""

from __future__ import annotations

import numpy as np

from mmkeras.tasks._contract import Outputs
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.peaks import finite_cells

__all__ = ["CENTRE_TOLERANCE", "SCORE_TOLERANCE", "disagree"]

CENTRE_TOLERANCE = 0.01
"""Largest distance of the centres of equal detections, in m."""
SCORE_TOLERANCE = 1e-3
"""Largest difference of their scores."""


def disagree(reference: Outputs, candidate: Outputs, first: Boxes, second: Boxes) -> np.ndarray:
    """Return bool (B,): the detections of two models differ, or a map of one of them is not finite.

    Args:
        reference: maps (B, h, w, ...) of the first model.
        candidate: maps of the second model.
        first: detections of the first model.
        second: detections of the second model.
    """
    size = len(reference["heatmap"])
    differs = ~(finite_cells(reference) & finite_cells(candidate)).all(axis=(1, 2))
    for i, (left, right) in enumerate(zip(first.by_sample(size), second.by_sample(size), strict=True)):
        if not differs[i]:
            differs[i] = len(left) != len(right) or not _same(left, right)
    return np.asarray(differs)


def _same(left: Boxes, right: Boxes) -> bool:
    """Match each box with the nearest box of its class and score that has no match yet."""
    apart = np.linalg.norm(left.centre[:, None] - right.centre[None], axis=-1)
    apart[left.label[:, None] != right.label[None]] = np.inf
    apart[np.abs(left.score[:, None] - right.score[None]) > SCORE_TOLERANCE] = np.inf
    for row in apart:
        nearest = int(row.argmin())
        if row[nearest] > CENTRE_TOLERANCE:
            return False
        apart[:, nearest] = np.inf
    return True
