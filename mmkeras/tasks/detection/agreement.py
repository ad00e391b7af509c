"""Whether two models find the same objects. numpy only."""

from __future__ import annotations

import numpy as np

from mmkeras.tasks._contract import Outputs
from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.peaks import finite_cells

__all__ = ["CENTRE_TOLERANCE", "SCORE_TOLERANCE", "disagree"]

CENTRE_TOLERANCE = 0.01
"""Metres."""
SCORE_TOLERANCE = 1e-3


def disagree(reference: Outputs, candidate: Outputs, first: Boxes, second: Boxes) -> np.ndarray:
    """Return bool (B,): two models' detections differ, or a map of either is not finite.

    Args:
        reference: maps (B, h, w, ...) of one model.
        candidate: maps of the other.
        first: detections of the reference, by sample.
        second: detections of the candidate, by sample.
    """
    size = len(reference["heatmap"])
    differs = ~(finite_cells(reference) & finite_cells(candidate)).all(axis=(1, 2))
    for i, (left, right) in enumerate(zip(first.by_sample(size), second.by_sample(size), strict=True)):
        if not differs[i]:
            differs[i] = len(left) != len(right) or not _same(left, right)
    return np.asarray(differs)


def _same(left: Boxes, right: Boxes) -> bool:
    """Pair each box with the nearest of its class that is left, and compare."""
    apart = np.linalg.norm(left.centre[:, None] - right.centre[None], axis=-1)
    apart[left.label[:, None] != right.label[None]] = np.inf
    apart[np.abs(left.score[:, None] - right.score[None]) > SCORE_TOLERANCE] = np.inf
    for row in apart:
        nearest = int(row.argmin())
        if row[nearest] > CENTRE_TOLERANCE:
            return False
        apart[:, nearest] = np.inf
    return True
