"""How a clip is shown in reports: a contact sheet."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mmkeras.media.clips.clip import read_clip
from mmkeras.media.clips.strip import read_strip
from mmkeras.media.image.resizing import resize_rgb

__all__ = ["image"]

LARGEST = 160
"""Longer side of a frame in the sheet."""
MOST = 8
"""Frames in the sheet."""
COLUMNS = 4
GAP = 2


def image(value: Any) -> np.ndarray:
    """Return up to eight frames of a raw clip, in the order of time row by row, uint8 (H, W, 3).

    A frame that repeats the one before, because no new one has come, is darkened.
    """
    strip = read_strip(value)
    frames, fresh = _small(value) if strip is None else strip
    frames, fresh = frames[:: -(-len(frames) // MOST)], fresh[:: -(-len(frames) // MOST)]
    count, height, width, _ = frames.shape
    columns = min(COLUMNS, count)
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for place, (frame, new) in enumerate(zip(frames, fresh, strict=True)):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = frame if new else frame // 3
    return sheet


def _small(value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return eight frames of a clip that is no film strip, all in the size of the first one, reduced."""
    found = read_clip(value, MOST)
    width, height = found.pictures[0].size
    scale = min(1.0, LARGEST / max(width, height))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return np.stack([resize_rgb(each, *size, "letterbox") for each in found.pictures])[found.places], found.fresh
