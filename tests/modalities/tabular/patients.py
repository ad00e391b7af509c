"""Rows with numbers, a date and categories, as people write them."""

from __future__ import annotations

from mmkeras.modalities.tabular import resolve
from mmkeras.modalities.tabular.spec import Config, Spec

CONFIG = Config(numbers=("age", "weight kg"), dates=("seen",), categories=("sex", "ward"), rarest=1)
ROWS = (
    {"age": 63, "weight kg": "81.5", "seen": "2024-05-31", "sex": "F", "ward": 3},
    {"age": "40", "weight kg": None, "seen": "2023-01-01T12:30:00Z", "sex": "M", "ward": 3.0},
    {"age": 22.0, "weight kg": 55, "seen": "", "sex": " F ", "ward": "12"},
    {"age": float("nan"), "weight kg": 90, "sex": "", "ward": "Straße 5"},
)


def spec(config: Config = CONFIG, rows=ROWS, folder=None) -> Spec:
    """Return the spec that was learned from rows."""
    return resolve(config, rows, folder).spec("patient")
