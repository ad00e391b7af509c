"""Series that exercise the preprocessing, and series made harder. numpy only."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from mmkeras.modalities.series.values import Layout, read_series, write_npy

__all__ = ["SCENARIOS", "half_missing", "newest_missing", "probes"]


def half_missing(layout: Layout, value: Any) -> bytes:
    """Return a series without a random half of its steps, always the same for the same series."""
    steps = read_series(layout, value).steps
    lost = np.random.default_rng(zlib.crc32(steps.tobytes())).random(len(steps)) < 0.5
    return _without(steps, lost)


def newest_missing(layout: Layout, value: Any) -> bytes:
    """Return a series whose last quarter has not arrived."""
    steps = read_series(layout, value).steps
    return _without(steps, np.arange(len(steps)) >= len(steps) - max(1, len(steps) // 4))


SCENARIOS = {"half_missing": half_missing, "newest_missing": newest_missing}
"""Functions by name of their scenario."""


def _without(steps: np.ndarray, lost: np.ndarray) -> bytes:
    """Return steps of which some are missing; a series needs one number, so the last one that is known may stay."""
    known = ~np.isnan(steps).all(axis=1)
    if not (known & ~lost).any():
        lost = lost.copy()
        lost[np.flatnonzero(known)[-1]] = False
    return write_npy(np.where(lost[:, None], np.nan, steps))


def probes(layout: Layout) -> tuple[Any, ...]:
    """Return series as bytes of .npy files, and some as bytes of text."""
    length, features = layout.length, layout.features
    step = np.arange(2 * length, dtype=np.float64)[:, None]
    wave = np.sin(0.7 * step + np.arange(features)) + 0.1 * step
    gaps = np.where((step + np.arange(features)) % 3 == 0, np.nan, wave)
    gaps[-1] = wave[-1]
    whole = [
        wave[:length],
        wave,
        wave[: max(1, length // 3)],
        gaps,
        np.full((length, features), 0.1),
        np.full((length, features), -1e15),
        1e12 * wave[:length] + 1e15,
        1e-12 * wave[:length],
        np.where(step[:length] == 0, 1e9, wave[:length]),
    ]
    texts = [json.dumps([[None if np.isnan(x) else x for x in row] for row in gaps[-5:].tolist()])]
    if features == 1:
        texts.append("1, 2.5;NA\n-3e2 7")
    if layout.interval > 0:
        times = (100.0 + layout.interval * step[:length:3, 0]).tolist()
        texts.append(json.dumps({"values": wave[:length:3].tolist(), "times": times}))
    return (*map(write_npy, whole), *(text.encode() for text in texts))
