"""Encodes positions as sines and cosines, which a linear layer can compare better than plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

__all__ = ["waves"]


def waves(position: Any) -> Any:
    """Return sines, then cosines, of positions (B, N, K) with 1, 2, 4 and 8 half waves per picture: (B, N, 8 K)."""
    angles = [position * (np.pi * 2.0**n) for n in range(4)]
    return ops.concatenate([*(ops.sin(a) for a in angles), *(ops.cos(a) for a in angles)], axis=-1)
