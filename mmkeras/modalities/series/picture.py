"""How a series is shown in reports: a line for each feature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmkeras.media.canvas import Canvas
from mmkeras.modalities.series.numbers import read_array

__all__ = ["caption", "image"]

WIDTH, HEIGHT, _EDGE = 360, 240, 16
# Okabe and Ito's palette, as in the figures of the evaluation.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def image(value: Any) -> np.ndarray | None:
    """Return a plot of the steps, uint8 (240, 360, 3); None for a value by column.

    Every feature is drawn from its smallest to its largest number, so that their shapes can be compared; the numbers at
    the left are those of the first. A line ends where numbers are missing.
    """
    if isinstance(value, Mapping) or (isinstance(value, str) and value.lstrip().startswith("{")):
        return None
    steps = read_array(value)
    steps = steps[:, None] if steps.ndim == 1 else steps
    canvas = Canvas(WIDTH, HEIGHT)
    for height in (_EDGE, HEIGHT - _EDGE):
        canvas.line([(_EDGE, height), (WIDTH - _EDGE, height)], "#D9DEE4", 1.0)
    columns = np.linspace(_EDGE, WIDTH - _EDGE, len(steps)) if len(steps) > 1 else np.array([WIDTH / 2])
    for feature in reversed(range(steps.shape[1])):
        numbers = steps[:, feature]
        known = ~np.isnan(numbers)
        if not known.any():
            continue
        low, high = numbers[known].min(), numbers[known].max()
        share = (numbers - low) / (high - low) if high > low else np.full(len(numbers), 0.5)
        heights = HEIGHT - _EDGE - share * (HEIGHT - 2 * _EDGE)
        colour = _COLOURS[feature % len(_COLOURS)]
        for run in _runs(known):
            points = np.stack([columns[run], heights[run]], axis=1)
            if len(points) == 1:
                canvas.dot(float(points[0][0]), float(points[0][1]), 2.0, colour)
            else:
                canvas.line(points.tolist(), colour, 1.8)
        if feature == 0:
            for number, place in ((high, _EDGE - 8), (low, HEIGHT - _EDGE + 8)):
                canvas.text(_EDGE, place, f"{number:.4g}", 11, colour)
    return canvas.array()


def caption(value: Any) -> str:
    """Return the columns of a value by column."""
    return ", ".join(map(str, value)) if isinstance(value, Mapping) else str(value)


def _runs(known: np.ndarray) -> list[np.ndarray]:
    """Return the positions of the steps between gaps."""
    places = np.flatnonzero(known)
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
