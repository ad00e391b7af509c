"""Places as sines and cosines, which a linear layer can compare far better than the numbers themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

__all__ = ["waves"]

FREQUENCIES = 4


def waves(position: Any) -> Any:
    """Return sines, then cosines, of places (B, N, K) in a picture at 1, 2, 4 and 8 half waves: (B, N, 8 K)."""
    angles = [position * (np.pi * 2.0**n) for n in range(FREQUENCIES)]
    return ops.concatenate([*(ops.sin(a) for a in angles), *(ops.cos(a) for a in angles)], axis=-1)
