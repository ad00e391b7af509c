"""The mean and the deviation of each feature over the training windows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.modalities.series.normalised import FLAT
from mmkeras.modalities.series.spec import Config
from mmkeras.modalities.series.values import read_series

__all__ = ["resolve"]


def resolve(config: Config, values: Iterable[Any], folder: Path) -> Config:
    """Return the configuration with ``means`` and ``deviations`` of the training windows, where the user set none.

    A feature without a number, or with one number alone, is given the deviation 1.

    Args:
        config: as the user wrote it.
        values: the training values; read once.
        folder: nothing is written there.
    """
    del folder
    if config.means and config.deviations:
        return config
    count, mean, squares = (np.zeros(config.features) for _ in range(3))
    for value in values:
        steps = read_series(config, value).steps
        there = ~np.isnan(steps)
        own = there.sum(axis=0)
        own_mean = np.where(there, steps, 0.0).sum(axis=0) / np.maximum(own, 1)
        own_squares = (np.where(there, steps - own_mean, 0.0) ** 2).sum(axis=0)
        # Chan's rule joins the moments of two parts without a large sum of squares.
        total = np.maximum(count + own, 1)
        apart = own_mean - mean
        mean = mean + apart * own / total
        squares = squares + own_squares + apart**2 * count * own / total
        count = count + own
    deviation = np.sqrt(squares / np.maximum(count, 1))
    deviation[deviation <= FLAT * np.maximum(np.abs(mean), 1e-300)] = 1.0
    return dataclasses.replace(
        config, means=config.means or tuple(mean.tolist()), deviations=config.deviations or tuple(deviation.tolist())
    )
