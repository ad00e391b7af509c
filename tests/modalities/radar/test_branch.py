"""The radar encoder in both forms, and the drawing held to a plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.modalities.radar.branch import BEYOND, CENTRES, SCALES, SPREAD, UNITS, DrawnPoints, build
from mmkeras.modalities.radar.spec import FEATURES, Config, Spec
from tests.modalities.radar.points import random_points

pytestmark = pytest.mark.tfio

WIDTH = 16
ROWS, COLUMNS = 6, 16
CAMERA = (256.0, 96.0, 200.0, 128.0, 48.0)
FORMS = ("points", "channels")


def _config(**options: Any) -> Config:
    return Config(**{"max_points": 20, "camera": CAMERA, "grid": (ROWS, COLUMNS), "heads": 2, **options})


def _spec() -> Spec:
    return _config().spec("radar")


def _encoder(form: str, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    config = _config(form=form, **options)
    branch = build(config.spec("radar"), config, WIDTH)
    names = ("values", "mask", "position", "measured")
    outputs = {name: getattr(branch.tokens, name) for name in names if getattr(branch.tokens, name) is not None}
    return keras.Model(branch.inputs, outputs)


def _inputs(*counts: int) -> dict[str, np.ndarray]:
    """Return a batch of sweeps; each of its points is real by position, the rest is padding."""
    each = [_spec().preprocess(random_points(count, seed=count)) for count in counts]
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def _call(model: keras.Model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in model(inputs, training=False).items()}


@pytest.fixture(scope="module")
def encoders() -> dict[str, keras.Model]:
    return {form: _encoder(form) for form in FORMS}


def test_points_become_tokens_with_places_and_what_was_measured(encoders: dict[str, keras.Model]):
    inputs = _inputs(9, 300)
    found = _call(encoders["points"], inputs)
    assert found["values"].shape == (2, 21, WIDTH)
    # The first token sums up the sweep.
    np.testing.assert_array_equal(found["mask"], np.concatenate([[[1], [1]], inputs["radar_mask"]], axis=1))
    points = inputs["radar_points"]
    real = inputs["radar_mask"][..., None] > 0
    column = {name: points[:, :, [number]] for number, name in enumerate(FEATURES)}
    now = np.where(real, np.maximum(column["z"] + column["dt"] * column["vz"], 1.0), 1.0)
    place = np.concatenate([points[:, :, 2:4], np.log(now)], axis=-1)
    np.testing.assert_allclose(found["position"][:, 1:], place, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["measured"][:, 1:], np.where(real, (points - CENTRES) / UNITS, 0.0), atol=1e-5)
    assert (found["position"][:, 0] == -1).all()
    assert not found["measured"][:, 0].any()
    assert np.abs(found["measured"]).max() < 15


def test_channels_become_a_map(encoders: dict[str, keras.Model]):
    found = _call(encoders["channels"], _inputs(9, 300))
    assert found["values"].shape == (2, ROWS * COLUMNS, WIDTH)
    assert found["mask"].all()
    place = found["position"].reshape(2, ROWS, COLUMNS, 2)
    np.testing.assert_allclose(place[:, 2, 5], [[5.5 / COLUMNS, 2.5 / ROWS]] * 2, rtol=1e-6)
    assert "measured" not in found
    config = _config(form="channels")
    assert build(config.spec("radar"), config, WIDTH).tokens.grid == (ROWS, COLUMNS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", [0.0, 1e6, np.inf, np.nan])
def test_what_padding_holds_has_no_influence(encoders: dict[str, keras.Model], form: str, content: float):
    inputs = _inputs(0, 7, 300)
    changed = dict(inputs)
    padding = inputs["radar_mask"][..., None] == 0
    changed["radar_points"] = np.where(padding, np.float32(content), inputs["radar_points"])
    expected, found = _call(encoders[form], inputs), _call(encoders[form], changed)
    real = expected["mask"] == 1
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name][real], value[real], err_msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_a_sweep_without_points_is_finite_and_its_own(encoders: dict[str, keras.Model], form: str):
    found = _call(encoders[form], _inputs(0, 9))
    assert all(np.isfinite(value).all() for value in found.values())
    first = found["values"][:, 0] if form == "points" else found["values"]
    assert np.abs(first[0] - first[1]).max() > 1e-4
    assert found["mask"][0].sum() == (1 if form == "points" else ROWS * COLUMNS)


def test_the_order_of_points_does_not_matter(encoders: dict[str, keras.Model]):
    inputs = _inputs(12, 300)
    order = np.random.default_rng(0).permutation(20)
    shuffled = {name: value[:, order] for name, value in inputs.items()}
    first, second = (_call(encoders["channels"], each)["values"] for each in (inputs, shuffled))
    np.testing.assert_allclose(second, first, atol=1e-5)
    expected, found = (_call(encoders["points"], each) for each in (inputs, shuffled))
    for name, value in found.items():
        np.testing.assert_allclose(value[:, 0], expected[name][:, 0], atol=1e-5, err_msg=name)
        np.testing.assert_allclose(value[:, 1:], expected[name][:, 1:][:, order], atol=1e-5, err_msg=name)


def test_points_see_each_other_unless_there_are_no_layers():
    inputs = _inputs(15)
    moved = {name: value.copy() for name, value in inputs.items()}
    moved["radar_points"][0, 3, 0] += 5.0
    others = np.arange(15)[np.arange(15) != 3] + 1
    for layers in (0, 2):
        model = _encoder("points", layers=layers)
        expected, found = (_call(model, each)["values"][0, others] for each in (inputs, moved))
        assert (np.abs(found - expected).max(axis=1) > 1e-6).all() == bool(layers)


@pytest.mark.parametrize("form", FORMS)
def test_saved_and_reloaded_bit_for_bit(encoders: dict[str, keras.Model], form: str, tmp_path: Path):
    encoders[form].save(tmp_path / "encoder.keras")
    again, inputs = keras.models.load_model(tmp_path / "encoder.keras"), _inputs(0, 9, 300)
    for name, value in _call(encoders[form], inputs).items():
        np.testing.assert_array_equal(_call(again, inputs)[name], value)


def test_heads_must_divide_the_width_where_there_are_any():
    with pytest.raises(ConfigError, match=r"radar\.heads: expected a divisor of the width 16, got 3"):
        _encoder("points", heads=3)
    _encoder("points", heads=3, layers=0)
    _encoder("channels", heads=3)


# === Drawing ===


def _plain_drawing(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw scaled points (N, 9), one after the other, nearer ones over those behind them."""
    picture = np.zeros((ROWS, COLUMNS, len(FEATURES) + 1))
    nearest = np.full((ROWS, COLUMNS), np.inf)
    for point in points[mask == 1].astype(np.float64):
        _, _, u, v, *_, away = point
        for row in range(ROWS):
            for column in range(COLUMNS):
                beside = abs(u - (column + 0.5) / COLUMNS) > 0.75 / COLUMNS
                # 7.4 m divided by the distance, as a share of the picture's height.
                above = abs(v - (row + 0.5) / ROWS) > 0.5 / ROWS + SPREAD * np.exp(2) / np.exp(4 * away)
                if not beside and not above and away < nearest[row, column]:
                    nearest[row, column] = away
                    picture[row, column] = [*point, 1.0]
    return picture


def _draw(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.asarray(DrawnPoints(ROWS, COLUMNS)([points[None].astype("float32"), mask[None]]))[0]


@pytest.mark.parametrize("count", [0, 1, 5, 40, 400])
def test_the_drawing_is_what_a_plain_loop_draws(count: int):
    given = _inputs(count)
    points, mask = given["radar_points"][0] / SCALES, given["radar_mask"][0]
    np.testing.assert_allclose(_draw(points, mask), _plain_drawing(points, mask), rtol=1e-5, atol=1e-6)


def test_the_nearest_point_is_seen_in_its_cell():
    width, height, focal, centre_x, centre_y = _spec().camera
    near, far = np.array([[2.0, 1.0, z, rcs, 0, 0, 0, 0] for z, rcs in ((20.0, 3.0), (20.5, 9.0))], np.float32)
    far[:2] *= 20.5 / 20.0  # behind the near one, on the same ray
    for points in ([near, far], [far, near], [near]):
        seen = _spec().preprocess(np.stack(points))
        drawn = _draw(seen["radar_points"] / SCALES, seen["radar_mask"])
        column, row = int((focal * 0.1 + centre_x) / width * COLUMNS), int((focal * 0.05 + centre_y) / height * ROWS)
        assert drawn[row, column, FEATURES.index("rcs")] * SCALES[4] == pytest.approx(3.0, rel=1e-5)
        assert drawn[row, column, -1] == 1
        assert drawn[:, column].any(axis=-1).sum() >= 2  # a column, since the radar tells no height
        assert not drawn[:, (column + 3) % COLUMNS].any()


def test_no_point_is_further_than_what_stands_for_none():
    assert np.log(1e4) / SCALES[-1] < BEYOND
