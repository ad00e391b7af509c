"""What the columns of the training rows teach: means, standard deviations and which categories there are."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.modalities.tabular.cells import read_cells
from mmkeras.modalities.tabular.spec import Config

__all__ = ["resolve"]


def resolve(config: Config, values: Iterable[Any], folder: Path) -> Config:
    """Return the configuration with ``means``, ``deviations`` and ``known`` of the training rows.

    What the user has set stays. A column without a value, or with one value alone, is given the deviation 1.

    Args:
        config: as the user wrote it.
        values: the training rows; read once.
        folder: nothing is written there.
    """
    del folder
    scaled, firsts = config.scaled, config.firsts
    # Welford's recurrence: days since 1970 squared would lose digits in a plain sum of squares.
    count, mean, squares = (np.zeros(len(scaled)) for _ in range(3))
    names = [Counter[str]() for _ in config.categories]
    for value in values:
        cells = read_cells(config, value)
        numbers = cells.features[firsts]
        there = ~np.isnan(numbers)
        count += there
        away = np.where(there, numbers - mean, 0.0)
        mean += away / np.maximum(count, 1)
        squares += away * np.where(there, numbers - mean, 0.0)
        for counter, name in zip(names, cells.names, strict=True):
            if name:
                counter[name] += 1
    deviation = np.sqrt(squares / np.maximum(count, 1))
    deviation[deviation <= 1e-9 * np.maximum(np.abs(mean), 1e-300)] = 1.0
    known = {column: _common(each, config) for column, each in zip(config.categories, names, strict=True)}
    return dataclasses.replace(
        config,
        means={**dict(zip(scaled, mean.tolist(), strict=True)), **config.means},
        deviations={**dict(zip(scaled, deviation.tolist(), strict=True)), **config.deviations},
        known={**known, **config.known},
    )


def _common(counter: Counter[str], config: Config) -> tuple[str, ...]:
    """Return the categories that are frequent enough, the most frequent first."""
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return tuple(name for name, times in ranked[: config.most_categories] if times >= config.rarest)
