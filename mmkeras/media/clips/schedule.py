"""Which frames of a clip a model receives: chosen by their times, so that the frame rate does not matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

__all__ = ["Frames", "Schedule", "schedule", "span_of"]

_TOLERANCE = 1e-6
"""Seconds by which times may be wrong by rounding."""


@dataclass(frozen=True)
class Frames:
    """The frames of T slots of time, each picture once."""

    pictures: tuple[Image.Image, ...]
    """Pictures in mode RGB, upright, in their own sizes."""
    places: np.ndarray
    """int64 (T,): the picture of each slot."""
    fresh: np.ndarray
    """bool (T,): whether a new frame has come in the slot."""


@dataclass(frozen=True)
class Schedule:
    """The frames for T slots of time."""

    frames: np.ndarray
    """int64 (T,): number of the frame that is visible in the middle of each slot."""
    fresh: np.ndarray
    """bool (T,): whether that is another frame than in the slot before; False where no new frame has come."""

    def of(self, pictures: Mapping[int, Image.Image]) -> Frames:
        """Return the slots with their pictures, by number of the frame; a slot without its frame keeps the one before.

        The slots before the first picture have that one. At least one picture is given.
        """
        known = np.array(sorted(pictures))
        held = known[np.maximum(np.searchsorted(known, self.frames, side="right") - 1, 0)]
        fresh = self.fresh & (np.diff(held, prepend=-1) != 0)
        chosen, places = np.unique(held, return_inverse=True)
        return Frames(tuple(pictures[int(number)] for number in chosen), places, fresh)


def schedule(times: np.ndarray, span: tuple[float, float], slots: int, seconds: float = 0.0) -> Schedule:
    """Return the frame of each of T slots of equal length.

    A slot has the frame that is visible in its middle: the last one that began before or, where there is none, the
    first frame of all. A clip with fewer frames than slots, or with a gap, therefore repeats frames, which are not
    ``fresh``.

    Args:
        times: seconds (N,) at which the frames begin, not decreasing, N > 0.
        span: beginning and end of the clip in seconds.
        slots: T.
        seconds: length of the part that the slots cover: the middle of a longer clip; a shorter one is followed by
            slots without new frames. 0 for the whole clip.
    """
    start, end = span
    if seconds:
        start += max(0.0, (end - start - seconds) / 2)
        end = start + seconds
    middles = start + (np.arange(slots) + 0.5) * ((end - start) / slots)
    frames = np.maximum(np.searchsorted(times, middles + _TOLERANCE, side="right") - 1, 0)
    return Schedule(frames, np.diff(frames, prepend=-1) != 0)


def span_of(times: np.ndarray) -> tuple[float, float]:
    """Return beginning and end of frames (N,), N > 0; the last one lasts as long as the others in the median."""
    steps = np.diff(times)
    length = float(np.median(steps)) if len(steps) else 0.0
    return float(times[0]), float(times[-1]) + (length or 1.0)
