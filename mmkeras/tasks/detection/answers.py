"""Detections as JSON-ready answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmkeras.tasks.detection.boxes import Boxes
from mmkeras.tasks.detection.classes import ATTRIBUTES

__all__ = ["answers"]

_COLUMNS = ("sample", "label", "score", "box", "centre", "size", "yaw", "velocity", "distance", "attribute")


def answers(boxes: Boxes, labels: Sequence[str], samples: int) -> list[dict[str, Any]]:
    """Return ``{"detections": [...]}`` for each of so many samples; `Spec.decode` describes a detection.

    Args:
        boxes: detections in the order of the samples.
        labels: the classes.
        samples: their number, those without a detection among them.
    """
    result: list[dict[str, Any]] = [{"detections": []} for _ in range(samples)]
    rows = zip(*(getattr(boxes, name).tolist() for name in _COLUMNS), strict=True)
    for sample, label, score, box, centre, size, yaw, velocity, distance, attribute in rows:
        result[sample]["detections"].append(
            {
                "class": labels[label],
                "score": score,
                "box": box,
                "centre": centre,
                "size": size,
                "yaw": yaw,
                "velocity": velocity,
                "distance": distance,
                "attribute": ATTRIBUTES[attribute],
            }
        )
    return result
