"""Series of sensors for tests."""

from __future__ import annotations

import numpy as np

from mmkeras.modalities.series import resolve
from mmkeras.modalities.series.spec import Config, Spec

CONFIG = Config(length=12, patch=4, heads=2, layers=1, dropout=0.0)
PAIR = Config(length=6, features=2, patch=2, heads=2, layers=1, dropout=0.0)
VALUES = (
    [float(number) for number in range(12)],
    [3.0, None, 5.5, float("nan"), 2.0],
    np.sin(np.arange(40.0)).tolist(),
    [7.0] * 12,
)


def spec(config: Config = CONFIG, values=VALUES, folder=None) -> Spec:
    """Return the spec that was learned from series."""
    return resolve(config, values, folder).spec("wave")
