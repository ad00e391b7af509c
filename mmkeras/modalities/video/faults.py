"""Clips that exercise the preprocessing, and clips made harder. numpy and Pillow only."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

__all__ = ["FAULTS", "Film", "dark", "half_lost", "one_frozen", "probe_clips"]

Film: TypeAlias = "tuple[np.ndarray, np.ndarray]"
"""Frames, uint8 (T, H, W, 3), and which of them are new, bool (T,)."""

_BRIGHTNESS = 0.12
"""Of a clip in the dark, as a share."""
_NOISE = 4.0
"""Standard deviation of its noise, in levels of 255."""


def half_lost(film: Film) -> Film:
    """Return a clip without half of its frames; which ones depends on the clip, so that every place is tried."""
    frames, fresh = film
    there = np.flatnonzero(fresh)
    kept = _rng(frames).permutation(there)[: (len(there) + 1) // 2]
    return frames, np.isin(np.arange(len(frames)), kept)


def one_frozen(film: Film) -> Film:
    """Return a clip with one frame in place of its successor too, without a sign of it: a camera that hangs."""
    frames, fresh = film
    there = np.flatnonzero(fresh)
    changed = frames.copy()
    if len(there) > 1:
        at = int(_rng(frames).integers(1, len(there)))
        changed[there[at]] = frames[there[at - 1]]
    return changed, fresh


def dark(film: Film) -> Film:
    """Return a clip at night: an eighth of the brightness, with the noise of a camera."""
    frames, fresh = film
    noise = _rng(frames).normal(0.0, _NOISE, frames.shape)
    return np.clip(np.rint(frames * _BRIGHTNESS + noise), 0, 255).astype(np.uint8), fresh


FAULTS: Mapping[str, Callable[[Film], Film]] = MappingProxyType(
    {"half_lost": half_lost, "one_frozen": one_frozen, "dark": dark}
)
"""By the name of the scenario. Frames that are not new have to be replaced by the frame before."""


def probe_clips(count: int, height: int, width: int) -> tuple[Any, ...]:
    """Return a film strip with different frames, one with repeated frames, and one small picture as a clip."""
    from PIL import Image

    from mmkeras.media.clips.strip import write_strip

    time, y, x = np.meshgrid(*map(np.arange, (count, height, width)), indexing="ij")
    moving = (x + 3 * time) % 16 < 8
    waves = [127 + 120 * np.sin(0.2 * y + time), 255.0 * moving, 40 + 160 * (y > x)]
    frames = np.stack(waves, axis=-1).round().astype(np.uint8)
    seldom = np.arange(count) % 3 == 0
    held = frames[np.maximum.accumulate(np.where(seldom, np.arange(count), 0))]
    stream = io.BytesIO()
    Image.fromarray(frames[0, : height // 2 + 1, : width * 2 // 3 + 1]).save(stream, "PNG")
    return (write_strip(frames, np.ones(count, bool)), write_strip(held, seldom), stream.getvalue())


def _rng(frames: np.ndarray) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(np.ascontiguousarray(frames).tobytes()))
