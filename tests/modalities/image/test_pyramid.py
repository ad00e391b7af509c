from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.layers.tokens import Tokens
from mmkeras.modalities.image.branch import build, merge_pyramid
from mmkeras.modalities.image.spec import Config

pytestmark = pytest.mark.tfio

EDGE: dict[str, Any] = {"size": (32, 64), "architecture": "edge", "width_factor": 0.25, "depth_factor": 0.3}


def _tokens(**options: Any) -> tuple[keras.Model, Tokens]:
    config = Config(**{**EDGE, "level": 3, "pyramid": True, **options})
    branch = build(config.spec("camera"), config, 16)
    return keras.Model(branch.inputs, (branch.tokens.values, branch.tokens.mask, branch.tokens.position)), branch.tokens


@pytest.mark.parametrize(("level", "grid"), [(2, (8, 16)), (3, (4, 8))])
def test_tokens_are_a_map_with_places(level: int, grid: tuple[int, int]):
    model, tokens = _tokens(level=level)
    assert tokens.grid == grid
    assert tokens.measured is None
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3)).astype("uint8")
    values, mask, position = (np.asarray(each) for each in model({"camera": pixels}))
    assert values.shape == (2, grid[0] * grid[1], 16)
    assert np.isfinite(values).all()
    assert mask.all()
    place = position.reshape(2, *grid, 2)
    np.testing.assert_allclose(place[1, 1, 2], [2.5 / grid[1], 1.5 / grid[0]], atol=1e-6)


def test_sides_may_be_odd_and_levels_more():
    model, tokens = _tokens(size=(36, 60), level=2, pyramid_levels=4)
    assert tokens.grid == (9, 15)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 36, 60, 3)).astype("uint8")
    assert model({"camera": pixels})[0].shape == (1, 135, 16)
    config = Config(**EDGE | {"size": (36, 60), "level": 2, "pyramid": True})
    assert config.spec("camera").grid == (9, 15)


def test_keras_applications_have_a_pyramid_too():
    model, tokens = _tokens(architecture="EfficientNetB0", width_factor=1.0, depth_factor=1.0)
    assert tokens.grid == (4, 8)
    assert model.output_shape[0] == (None, 32, 16)


def test_the_finest_map_sees_what_is_far_away():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    maps = [keras.Input((8 // 2**n, 16 // 2**n, 4 + n)) for n in range(3)]
    merged = keras.Model(maps, merge_pyramid(maps, 6, 0.9, "camera"))
    given = [rng.normal(size=(1, *each.shape[1:])).astype("float32") for each in maps]
    assert merged(given).shape == (1, 8, 16, 6)
    for number, features in enumerate(given):
        changed = [each.copy() for each in given]
        changed[number] = features + 1.0
        touched = np.any(np.asarray(merged(changed)) != np.asarray(merged(given)), axis=(0, 3))
        assert touched.all(), f"map {number}"
        changed[number] = features.copy()
        changed[number][0, 0, 0] += 5.0
        touched = np.any(np.asarray(merged(changed)) != np.asarray(merged(given)), axis=(0, 3))
        # A cell of map n is 2**n wide; each 3x3 convolution on its way down reaches one cell of its own map further.
        reach = (1 + 1, 2 + 2 + 1, 4 + 2 + 1)[number]
        assert touched[:reach, :reach].any()
        assert not touched[reach:].any()
        assert not touched[:, reach:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 4}, "level: expected 1 to 3, got 4"),
        ({"level": 3, "pyramid_levels": 4}, "level: expected 1 to 2, got 3"),
        ({"pyramid_levels": 1}, "pyramid_levels: expected 2 to 5, got 1"),
        ({"crop": 1.0}, "crop: expected 0 or more and less than 1, got 1.0"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        _tokens(**options)
