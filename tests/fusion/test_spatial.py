"""What spatial attention does with keys that measure how far away they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core.components import find
from mmkeras.core.errors import ConfigError
from mmkeras.fusion._spatial import STEPS, distance_scores, distances
from mmkeras.fusion.spatial_attention import extra_outputs
from mmkeras.layers.tokens import Tokens
from mmkeras.media.geometry import cell_centres
from tests.fusion.helpers import WIDTH, call

GRID = (2, 4)
CELLS = 8
POINTS = 4
HEADS = 2
METRES = np.array([8.0, 20.0, 45.0, 20.0], np.float32)


def test_logits_are_interpolated_between_two_steps():
    logits = np.random.default_rng(0).normal(size=(1, 3, len(STEPS))).astype("float32")
    places = np.zeros((1, 4, 3), "float32")
    places[0, :, 2] = [STEPS[4], STEPS[4] * 0.25 + STEPS[5] * 0.75, STEPS[-1] + 1, STEPS[7]]
    places[0, 3, :] = -1  # no place
    found = np.asarray(distance_scores(logits, places))[0]
    np.testing.assert_allclose(found[:, 0], logits[0, :, 4], rtol=1e-4)
    np.testing.assert_allclose(found[:, 1], logits[0, :, 4] * 0.25 + logits[0, :, 5] * 0.75, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[:, 2], logits[0, :, -1], rtol=1e-4)
    np.testing.assert_array_equal(found[:, 3], 0)


def test_the_weight_without_a_place_goes_to_the_mean():
    logits = np.zeros((1, 1, len(STEPS)), "float32")
    logits[..., 10] = 50.0
    places = np.array([[[0.5, 0.5, 3.0], [-1, -1, -1]]], "float32")
    weights = np.array([[[[1.0, 0.0]], [[0.25, 0.75]], [[0.0, 0.0]]]], "float32")  # three heads
    found = np.asarray(distances(weights, logits, places))[0, 0]
    np.testing.assert_allclose(found, [STEPS[10], 3.0, 0.25 * 3.0 + 0.75 * STEPS[10], STEPS[10]], rtol=1e-5)


def _model(**options: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = {
        "camera": keras.Input((CELLS, WIDTH), name="camera"),
        "radar": keras.Input((POINTS, WIDTH), name="radar"),
        "position": keras.Input((POINTS, 3), name="position"),
        "mask": keras.Input((POINTS,), dtype="int32", name="mask"),
    }
    cells = keras.ops.zeros_like(inputs["camera"][:, :, :2]) + cell_centres(*GRID)[None]
    ones = keras.ops.ones_like(inputs["camera"][:, :, 0], dtype="int32")
    tokens = {
        "camera": Tokens(inputs["camera"], ones, cells, grid=GRID),
        "radar": Tokens(inputs["radar"], inputs["mask"], inputs["position"], inputs["position"]),
    }
    fused = find("fusion", "spatial_attention").fuse(tokens, heads=HEADS, **options)
    return keras.Model(inputs, {"tokens": fused.tokens.values, "distances": 1.0 * fused.distances})


def _inputs(column: float = 0.5) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    position = np.zeros((1, POINTS, 3), "float32")
    position[0, :, 0], position[0, :, 1], position[0, :, 2] = column, 0.5, np.log(METRES)
    mask = np.ones((1, POINTS), "int32")
    mask[0, 3] = 0
    return {
        "camera": rng.normal(size=(1, CELLS, WIDTH)).astype("float32"),
        "radar": np.repeat(rng.normal(size=(1, 1, WIDTH)), POINTS, 1).astype("float32"),
        "position": position,
        "mask": mask,
    }


def _predict_distance(model: keras.Model, metres: float) -> None:
    """Let every cell predict one distance, whatever its input."""
    outer = model.get_layer("fusion_cross_1")._distance_logits._outer
    outer.kernel.assign(np.zeros(outer.kernel.shape))
    outer.bias.assign(40.0 - 60.0 * np.abs(STEPS - np.log(metres)))


@pytest.mark.parametrize("metres", METRES[:3])
def test_the_point_at_the_predicted_distance_is_read(metres: float):
    model = _model()
    _predict_distance(model, metres * 1.08)
    found = call(model, _inputs(cell_centres(*GRID)[1, 0]))["distances"][0]
    assert found.shape == (CELLS, 1 + HEADS)
    in_its_column = found[1::4, 1]
    np.testing.assert_allclose(np.exp(in_its_column), metres, rtol=0.02)
    np.testing.assert_allclose(np.exp(found[:, 0]), metres * 1.08, rtol=0.04)


def test_without_points_all_distances_are_the_predicted_one():
    model = _model()
    inputs = _inputs()
    dead = {**inputs, "position": np.full((1, POINTS, 3), -1.0, "float32"), "mask": np.array([[1, 0, 0, 0]], "int32")}
    found = call(model, dead)["distances"]
    np.testing.assert_allclose(found, np.repeat(found[..., :1], 1 + HEADS, -1), rtol=1e-5)


def test_what_padding_holds_has_no_influence():
    model = _model()
    expected = call(model, _inputs())
    for content in (1e6, np.nan):
        changed = {name: value.copy() for name, value in _inputs().items()}
        changed["radar"][0, 3] = changed["position"][0, 3] = content
        for name, value in call(model, changed).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-6, err_msg=name)


def test_the_extra_outputs_are_those_without_the_other_modalities():
    model, plain = _model(alone=True), _model()
    inputs = _inputs()
    other = inputs | {"radar": inputs["radar"] + 1, "position": inputs["position"] * 0.9}
    for name, value in call(plain, inputs).items():
        np.testing.assert_array_equal(call(model, inputs)[name], value)
    assert extra_outputs(plain) is None
    both = extra_outputs(model)
    assert both is not None
    found, moved = ({n: np.asarray(v) for n, v in both(each).items()} for each in (inputs, other))
    assert set(found) == {"tokens", "distances", "tokens_alone", "distances_alone"}
    for name, value in call(plain, inputs).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[f"{name}_alone"], moved[f"{name}_alone"])
        assert not np.allclose(found[name], moved[name])
    believed = np.repeat(found["distances"][:, :, :1], 1 + HEADS, -1)
    np.testing.assert_array_equal(found["distances_alone"], believed)
    with pytest.raises(ConfigError, match="alone: expected layers: 1, got layers: 2"):
        _model(alone=True, layers=2)


def test_it_is_saved_with_the_model(tmp_path: Path):
    model = _model()
    _predict_distance(model, 31.0)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    for name, value in call(model, _inputs()).items():
        np.testing.assert_array_equal(call(again, _inputs())[name], value)
