"""What spatial attention promises beyond every fusion's contract: places, measurements and maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.components import find
from mmkeras.core.errors import ConfigError
from mmkeras.fusion._spatial import SpatialAttention
from mmkeras.layers.tokens import Tokens
from mmkeras.media.geometry import cell_centres
from tests.fusion.helpers import WIDTH, assert_same, call

GRID = (3, 8)
CELLS = GRID[0] * GRID[1]
POINTS = 5
MEASURED = 3
HEADS = 4


def _model(*, places: bool = True, measured: bool = True, camera: bool = True, **options: Any) -> keras.Model:
    """Return the fusion of a camera's map and radar points, with its attention weights."""
    keras.utils.set_random_seed(0)
    inputs: dict[str, Any] = {}
    tokens = {}
    if camera:
        inputs["camera"] = keras.Input((CELLS, WIDTH), name="camera")
        inputs["camera_mask"] = keras.Input((CELLS,), dtype="int32", name="camera_mask")
        position = keras.ops.zeros_like(inputs["camera"][:, :, :2]) + cell_centres(*GRID)[None] if places else None
        tokens["camera"] = Tokens(inputs["camera"], inputs["camera_mask"], position, grid=GRID)
    shapes = {"radar": (POINTS, WIDTH), "radar_position": (POINTS, 2), "radar_measured": (POINTS, MEASURED)}
    inputs |= {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    inputs["radar_mask"] = keras.Input((POINTS,), dtype="int32", name="radar_mask")
    tokens["radar"] = Tokens(
        inputs["radar"],
        inputs["radar_mask"],
        inputs["radar_position"] if places else None,
        inputs["radar_measured"] if measured else None,
    )
    fused = find("fusion", "spatial_attention").fuse(tokens, heads=HEADS, **options)
    read = fused.tokens
    grid = (-1, *(read.grid or (read.values.shape[1],)), read.values.shape[-1])
    outputs = {"tokens": read.values, "mask": read.mask, "pooled": fused.pooled}
    return keras.Model(inputs, {**outputs, "map": keras.ops.reshape(read.values, grid)})


def _weights(model: keras.Model, inputs: Mapping[str, np.ndarray], layer: str = "fusion_cross_1") -> np.ndarray:
    return call(keras.Model(model.inputs, {"weights": model.get_layer(layer).output[1]}), inputs)["weights"]


def _inputs(batch: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = np.ones((batch, POINTS), "int32")
    mask[:, -1] = 0
    return {
        "camera": rng.normal(size=(batch, CELLS, WIDTH)).astype("float32"),
        "camera_mask": np.ones((batch, CELLS), "int32"),
        "radar": rng.normal(size=(batch, POINTS, WIDTH)).astype("float32"),
        "radar_position": rng.uniform(size=(batch, POINTS, 2)).astype("float32"),
        "radar_measured": rng.uniform(0.5, 2, (batch, POINTS, MEASURED)).astype("float32"),
        "radar_mask": mask,
    }


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return _model()


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def test_the_map_keeps_its_cells_and_gains_the_readout(model: keras.Model):
    found = call(model, _inputs())
    assert found["map"].shape == (2, *GRID, WIDTH + HEADS * (MEASURED + 1))
    assert found["pooled"].shape == (2, WIDTH)
    np.testing.assert_array_equal(found["map"].reshape(found["tokens"].shape), found["tokens"])


@pytest.mark.parametrize(
    ("options", "width"),
    [({"places": False}, WIDTH), ({"measured": False}, WIDTH), ({"layers": 2}, WIDTH + HEADS * (MEASURED + 1))],
)
def test_what_the_sensors_do_not_have_is_left_out(options: dict[str, Any], width: int):
    found = call(_model(**options), _inputs())
    assert found["tokens"].shape == (2, CELLS, width)
    assert np.isfinite(found["tokens"]).all()


def test_near_points_count_more_and_narrow_heads_see_nothing_else(model: keras.Model):
    inputs = _inputs(1)
    centre = cell_centres(*GRID)
    inputs["radar"][:] = inputs["radar"][:, :1]  # alike but for their places
    cells = [1, 11, 21, 7]  # each in a column of its own
    inputs["radar_position"][0, :4] = centre[cells]
    weights = _weights(model, inputs)[0]
    apart = np.abs(centre[:, None, 0] - centre[None, cells, 0])
    for head in weights[..., :4]:
        for place, cell in enumerate(cells):
            assert head[cell].argmax() == place
        assert (np.diff(head[7:0:-1, 0]) >= 0).all()  # from the far end of the row to the point
    narrow, wide = weights[0, :, :4], weights[-1, :, :4]
    assert narrow[apart > 0.4].max() < 1e-6
    assert wide[apart > 0.4].max() > 1e-3
    assert weights[..., 4].max() == 0.0  # masked


def test_where_nothing_is_near_or_valid_the_null_key_is_read(model: keras.Model):
    inputs = _inputs(2)
    inputs["radar_position"][:] = 50.0  # far out of the picture
    inputs["radar_mask"][1] = 0
    assert _weights(model, inputs).sum() == pytest.approx(0.0, abs=1e-6)
    found = call(model, inputs)
    assert np.isfinite(found["tokens"]).all()
    readout = found["tokens"][..., WIDTH:]
    np.testing.assert_allclose(readout, 0.0, atol=1e-6)
    # Nothing was read: what the points hold makes no difference.
    other = inputs | {name: _inputs(2, seed=5)[name] for name in ("radar", "radar_measured")}
    np.testing.assert_allclose(call(model, other)["tokens"], found["tokens"], atol=1e-6)


def test_a_measurement_is_copied_to_the_cell_it_belongs_to(model: keras.Model):
    inputs = _inputs(1)
    centre = cell_centres(*GRID)
    cells = [2, 9, 14, 20]
    inputs["radar_position"][0, :4] = centre[cells]
    found = call(model, inputs)["tokens"][0, :, WIDTH:].reshape(CELLS, HEADS, MEASURED + 1)
    for place, cell in enumerate(cells):
        share = found[cell, 0, -1]
        assert share > 0.2
        np.testing.assert_allclose(found[cell, 0, :-1], inputs["radar_measured"][0, place], rtol=0.02)


def test_what_padding_holds_has_no_influence(model: keras.Model):
    inputs = _inputs()
    expected = call(model, inputs)
    for content in (1e6, np.inf, np.nan):
        changed = {name: value.copy() for name, value in inputs.items()}
        for name in ("radar", "radar_position", "radar_measured"):
            changed[name][:, -1] = content
        assert_same(expected, call(model, changed))


def test_with_the_camera_dead_every_cell_still_has_an_answer_from_its_place(model: keras.Model):
    inputs = _inputs(1)
    inputs["camera"][:] = inputs["camera"][:, :1]  # one null token in every cell
    inputs["radar_mask"][:] = 0
    empty = call(model, inputs)["tokens"][0]
    assert len(np.unique(empty.round(5), axis=0)) == CELLS  # its place tells each cell from the others
    inputs["radar_mask"][0, 0] = 1
    inputs["radar_position"][0, 0] = cell_centres(*GRID)[12]
    found = call(model, inputs)["tokens"][0]
    assert found[:, WIDTH + MEASURED].argmax() == 12


def test_queries_can_be_learned_for_a_grid_of_its_own():
    model = _model(camera=False, grid=(2, 4))
    inputs = {name: value for name, value in _inputs().items() if name.startswith("radar")}
    found = call(model, inputs)
    assert found["map"].shape == (2, 2, 4, WIDTH + HEADS * (MEASURED + 1))
    assert found["mask"].all()
    np.testing.assert_array_equal(_weights(model, inputs).shape, (2, HEADS, 8, POINTS))
    nan = inputs | {"radar": np.where(inputs["radar_mask"][..., None] == 1, inputs["radar"], np.nan)}
    assert_same(found, call(model, nan))
    # A first token that is dead must not poison the queries.
    first = inputs | {"radar_mask": 1 - np.eye(POINTS, dtype="int32")[[0, 0]]}
    dead = first | {"radar": np.concatenate([inputs["radar"][:, :1] * np.nan, inputs["radar"][:, 1:]], axis=1)}
    assert_same(call(model, first), call(model, dead))
    # With a camera beside it, the grid reads both.
    both = _model(grid=(2, 4))
    assert _weights(both, _inputs()).shape == (2, HEADS, 8, CELLS + POINTS)


@pytest.mark.parametrize(("query", "tokens"), [("", CELLS), ("camera", CELLS), ("radar", POINTS)])
def test_the_map_asks_unless_another_is_named(query: str, tokens: int):
    assert call(_model(query=query), _inputs())["tokens"].shape[1] == tokens


@pytest.mark.parametrize("options", [{"layers": 2}, {"camera": False, "grid": (2, 4)}])
def test_saved_and_reloaded_bit_for_bit(options: dict[str, Any], tmp_path: Path):
    model = _model(**options)
    inputs = {name: value for name, value in _inputs().items() if name in model.input}
    model.save(tmp_path / "model.keras")
    assert_same(call(model, inputs), call(keras.models.load_model(tmp_path / "model.keras"), inputs))


def test_every_weight_and_every_place_has_a_gradient(model: keras.Model):
    tensors = {name: tf.constant(value) for name, value in _inputs().items()}
    with tf.GradientTape() as tape:
        tape.watch(tensors["radar_position"])
        loss = tf.reduce_sum(tf.sin(3.0 * model(tensors, training=False)["tokens"]))
    by_weight, by_place = tape.gradient(loss, (model.trainable_weights, tensors["radar_position"]))
    for weight, gradient in zip(model.trainable_weights, by_weight, strict=True):
        assert np.isfinite(gradient).all(), weight.path
        assert np.any(gradient), weight.path
    assert np.any(by_place.numpy()[:, :-1] != 0, axis=-1).all()
    assert not by_place.numpy()[:, -1].any()


def test_mixed_precision(model: keras.Model, bfloat16: None):
    mixed = _model()
    mixed.set_weights(model.get_weights())
    inputs = _inputs()
    found, expected = call(mixed, inputs), call(model, inputs)
    np.testing.assert_allclose(found["tokens"][..., :WIDTH], expected["tokens"][..., :WIDTH], atol=0.15)
    np.testing.assert_allclose(found["tokens"][..., WIDTH:], expected["tokens"][..., WIDTH:], atol=0.1)
    inputs["radar_mask"][:] = 0
    assert np.isfinite(call(mixed, inputs)["tokens"]).all()


def test_no_huge_number_stands_in_the_graph(model: keras.Model):
    function = tf.function(lambda inputs: model(inputs, training=False), jit_compile=False)
    concrete = function.get_concrete_function(
        {k: tf.TensorSpec((1, *v.shape[1:]), v.dtype) for k, v in model.input.items()}
    )
    constants = [
        tf.make_ndarray(operation.get_attr("value"))
        for operation in concrete.graph.get_operations()
        if operation.type == "Const" and operation.outputs[0].dtype.is_floating
    ]
    assert len(constants) > 5
    assert max(np.abs(value).max() for value in constants if value.size) < 1e4
    inputs = _inputs()
    layer = model.get_layer("fusion_cross_1")
    read = keras.Model(model.inputs, {"weights": layer.output[1], "read": layer.output[0]})
    assert all(np.abs(value).max() < 100 for value in call(read, inputs).values())


def test_reaches_are_learned():
    layer = SpatialAttention(2)
    places = np.array([[[0.1, 0.1], [0.6, 0.1]]], "float32")
    values = np.random.default_rng(0).normal(size=(1, 2, 4)).astype("float32")
    _, before, _ = layer([values, values, np.ones((1, 2), "int32"), places, places])
    reach = next(weight for weight in layer.weights if "inverse_reach" in weight.path)
    reach.assign(0.0 * reach)  # sees everything alike
    _, after, readout = layer([values, values, np.ones((1, 2), "int32"), places, places])
    assert float(before[0, 0, 0, 1]) < float(after[0, 0, 0, 1])
    assert readout.shape == (1, 2, 2)  # how much was read, by head


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": "camra"}, "query: no modality is called 'camra'; did you mean 'camera'"),
        ({"feed_forward": 0}, "feed_forward: expected at least 1, got 0"),
        ({"grid": (0, 4)}, r"grid: expected rows and columns of at least 1, got \(0, 4\)"),
        ({"grid": (2, 4), "query": "camera"}, "query, grid: expected one of them"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        _model(**options)
