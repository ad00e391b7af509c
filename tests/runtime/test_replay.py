"""Inputs made on a device may be rounded otherwise, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from mmkeras.runtime.replay import input_difference

METRES = np.linspace(0, 250, 100, dtype=np.float32)
PIXELS = np.arange(100, dtype=np.uint8)


def passes(expected: np.ndarray, got: np.ndarray) -> bool:
    difference, limit = input_difference(expected, got)
    return difference <= limit


@pytest.mark.parametrize(
    ("expected", "got", "good"),
    [
        (METRES, np.nextafter(METRES, np.float32(1e9)), True),
        (METRES, METRES + np.float32(0.01), False),
        (METRES, np.where(METRES > 200, np.float32(np.nan), METRES), False),
        (METRES, METRES[1:], False),
        (PIXELS, np.where(PIXELS < 5, PIXELS + 1, PIXELS).astype(np.uint8), True),
        (PIXELS, np.where(PIXELS < 6, PIXELS + 1, PIXELS).astype(np.uint8), False),
        (PIXELS, np.where(PIXELS < 1, PIXELS + 2, PIXELS).astype(np.uint8), False),
        (PIXELS.astype(np.int32), PIXELS.astype(np.int32), True),
        (PIXELS.astype(np.int32), np.where(PIXELS < 1, 1, PIXELS).astype(np.int32), False),
    ],
    ids=["last bit", "a centimetre", "NaN", "shape", "ties", "too many ties", "two levels", "ids", "another id"],
)
def test_what_rounding_explains_passes(expected: np.ndarray, got: np.ndarray, good: bool) -> None:
    assert passes(expected, got) == good
