"""The reading order of boxes, and the lines that they form. numpy only."""

from __future__ import annotations

import numpy as np

__all__ = ["lines_of", "reading_order"]

_OVERLAP = 0.5
"""Share of the smaller height that two words of a line have in common."""
_GAP = 1.5
"""Widest gap between words of a segment, in heights."""


def reading_order(boxes: np.ndarray) -> np.ndarray:
    """Return the positions (n,) of boxes (n, 4) in reading order: lines from top to bottom, each from left to right.

    A box belongs to the line whose last boxes it overlaps by half of the smaller height. Columns are not recognised:
    words side by side are one line.
    """
    lines: list[list[int]] = []
    spans: list[tuple[float, float]] = []
    for place in np.argsort((boxes[:, 1] + boxes[:, 3]) / 2, kind="stable").tolist():
        top, bottom = float(boxes[place, 1]), float(boxes[place, 3])
        if lines and _common(spans[-1], (top, bottom)) >= _OVERLAP:
            lines[-1].append(place)
            members = boxes[lines[-1]]
            # The mean, not the hull: on a tilted page the hull of a line would reach the next one.
            spans[-1] = float(members[:, 1].mean()), float(members[:, 3].mean())
        else:
            lines.append([place])
            spans.append((top, bottom))
    return np.array([place for line in lines for place in sorted(line, key=lambda i: boxes[i, 0])], np.int64)


def lines_of(boxes: np.ndarray) -> np.ndarray:
    """Return the segment int32 (n,) of each box (n, 4) in units of equal length; boxes are in reading order.

    A word continues the segment of the word before it if they overlap in height and the gap is below one and a half
    heights.
    """
    numbers = np.zeros(len(boxes), np.int32)
    for place in range(1, len(boxes)):
        before, box = boxes[place - 1], boxes[place]
        height = min(before[3] - before[1], box[3] - box[1])
        near = -0.5 * height <= box[0] - before[2] <= _GAP * height
        same = near and _common((before[1], before[3]), (box[1], box[3])) >= _OVERLAP
        numbers[place] = numbers[place - 1] + (not same)
    return numbers


def _common(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the length that two spans have in common, as a share of the shorter one."""
    common = min(first[1], second[1]) - max(first[0], second[0])
    return common / max(min(first[1] - first[0], second[1] - second[0]), 1e-12)
