"""What stacking maps as channels promises beyond every fusion's contract."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core.components import find
from mmkeras.core.errors import ConfigError
from mmkeras.layers.tokens import Tokens
from tests.fusion.helpers import WIDTH, call

GRID = (4, 6)


def _model(grids: dict[str, tuple[int, int] | None], cells: int = 24, **options: Any) -> tuple[keras.Model, Any]:
    inputs: dict[str, Any] = {}
    tokens = {}
    for name, grid in grids.items():
        inputs[name] = keras.Input((grid[0] * grid[1] if grid else cells, WIDTH), name=name)
        mask = keras.ops.ones_like(inputs[name][:, :, 0], dtype="int32")
        tokens[name] = Tokens(inputs[name], mask, grid=grid)
    fused = find("fusion", "channels").fuse(tokens, **options)
    return keras.Model(inputs, {"tokens": fused.tokens.values, "mask": fused.tokens.mask}), fused.tokens.grid


def test_maps_stay_a_map_and_neighbours_mix():
    model, grid = _model({"camera": GRID, "radar": GRID}, layers=1)
    assert grid == GRID
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=(2, 24, WIDTH)).astype("float32") for name in ("camera", "radar")}
    expected = call(model, inputs)["tokens"]
    assert expected.shape == (2, 24, WIDTH)
    for name in inputs:
        changed = {key: value.copy() for key, value in inputs.items()}
        changed[name][:, 8] += rng.normal(size=WIDTH).astype("float32")  # row 1, column 2
        touched = np.any(call(model, changed)["tokens"] != expected, axis=(0, 2)).reshape(GRID)
        neighbours = np.zeros(GRID, bool)
        neighbours[:3, 1:4] = True
        np.testing.assert_array_equal(touched, neighbours)


@pytest.mark.parametrize(
    "grids", [{"camera": (4, 6), "radar": (3, 8)}, {"camera": (4, 6), "radar": None}, {"a": (6, 4), "b": (4, 6)}]
)
def test_maps_of_other_sizes_and_no_maps_are_refused(grids: dict[str, tuple[int, int] | None]):
    with pytest.raises(ConfigError, match=r"stacks maps of one size \(rows, columns\), got .*Set the radar's form to"):
        _model(grids)
