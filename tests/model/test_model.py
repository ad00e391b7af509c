from __future__ import annotations

import keras
import numpy as np
import pytest

from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import ConfigError
from mmkeras.model import (
    NullToken,
    attention_model,
    build_model,
    check_model,
    learning_rate_factors,
    modality_specs,
)
from tests.tiny import LABELS, tiny_drive_config, tiny_drive_inputs, tiny_inputs, tiny_model_config

pytestmark = pytest.mark.tfio


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return tiny_model_config(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(config):
    keras.utils.set_random_seed(1)
    return build_model(config)


def _run(model: keras.Model, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(inputs, training=False)["probabilities"])


def test_inputs_are_what_the_specs_say(model, config):
    expected = {
        tensor.name: (tensor.shape, tensor.dtype)
        for spec in modality_specs(config).values()
        for tensor in (*spec.tensors, spec.present)
    }
    assert {name: (tuple(t.shape[1:]), t.dtype) for name, t in model.input.items()} == expected


def test_outputs_are_probabilities(model):
    probabilities = _run(model, tiny_inputs())
    assert probabilities.shape == (4, len(LABELS))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_a_saved_model_comes_back_bit_for_bit(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(_run(model, tiny_inputs()), _run(loaded, tiny_inputs()))


@pytest.mark.parametrize("missing", ["image", "text"])
def test_a_missing_modality_has_no_influence_whatever_its_tensors_hold(model, missing):
    inputs = tiny_inputs()
    inputs[f"{missing}_present"] = np.zeros(4, "float32")
    other = tiny_inputs(seed=9)
    garbage = {k: other[k] if k.startswith(missing) and not k.endswith("present") else v for k, v in inputs.items()}
    assert np.array_equal(_run(model, inputs), _run(model, garbage))
    assert not np.allclose(_run(model, inputs), _run(model, tiny_inputs()))


def test_the_null_token_keeps_nan_of_a_dead_sensor_out():
    layer = NullToken()
    values = np.full((2, 3, 4), np.nan, "float32")
    values[1] = 1.0
    tokens, valid = layer(values, np.array([[1, 1, 0], [1, 1, 0]], "int32"), np.array([0.0, 1.0], "float32"))
    assert np.isfinite(tokens).all()
    np.testing.assert_array_equal(valid, [[1, 0, 0], [1, 1, 0]])
    np.testing.assert_array_equal(tokens[1], values[1])


def test_attention_can_be_read_by_name_after_reloading(model, tmp_path):
    model.save(tmp_path / "model.keras")
    attention = attention_model(keras.models.load_model(tmp_path / "model.keras"))
    assert attention is not None
    weights = {k: keras.ops.convert_to_numpy(v) for k, v in attention(tiny_inputs()).items()}
    cross = weights["fusion_cross_1"]
    assert cross.shape == (4, 2, 8, 16)
    np.testing.assert_allclose(cross.sum(axis=-1), 1, atol=1e-5)


def test_a_fusion_that_does_not_attend_has_no_attention_model(tmp_path):
    assert attention_model(build_model(tiny_model_config(tmp_path, fusion="mean"))) is None


def test_learning_rate_factors_name_the_branches(config):
    import dataclasses

    slower = dataclasses.replace(config, image=dataclasses.replace(config.image, learning_rate_factor=0.1))
    assert learning_rate_factors(slower) == {"image_branch": 0.1}


@pytest.fixture(scope="module")
def drive():
    """A camera's map, radar points and detection, 64 x 32 pixels."""
    keras.utils.set_random_seed(1)
    config = tiny_drive_config()
    return config, build_model(config)


@pytest.mark.parametrize("missing", ["camera", "radar"])
def test_a_dead_camera_or_radar_leaves_an_answer_in_every_cell(drive, missing):
    config, model = drive
    inputs = tiny_drive_inputs(config)
    inputs[f"{missing}_present"] = np.zeros(3, "float32")
    other = tiny_drive_inputs(config, seed=9)
    garbage = {k: other[k] if k.startswith(missing) and not k.endswith("present") else v for k, v in inputs.items()}
    if missing == "radar":
        garbage["radar_points"] = np.full_like(inputs["radar_points"], np.nan)
    expected, found, whole = (
        {name: keras.ops.convert_to_numpy(value) for name, value in model(each, training=False).items()}
        for each in (inputs, garbage, tiny_drive_inputs(config))
    )
    for name, value in expected.items():
        assert value.shape[:3] == (3, 4, 8)
        assert np.isfinite(value).all()
        np.testing.assert_array_equal(found[name], value)
    assert not np.allclose(expected["depth"], whole["depth"])


def test_a_missing_map_keeps_its_cells_and_a_missing_row_of_tokens_does_not():
    values = np.full((2, 6, 4), np.nan, "float32")
    values[1] = 1.0
    valid, present = np.ones((2, 6), "int32"), np.array([0.0, 1.0], "float32")
    layer = NullToken(keep_cells=True)
    tokens, kept = layer(values, valid, present)
    np.testing.assert_array_equal(kept, valid)
    np.testing.assert_allclose(tokens[0], np.repeat(layer.token[0], 6, axis=0))
    np.testing.assert_array_equal(NullToken()(values, valid, present)[1], [[1, 0, 0, 0, 0, 0], [1] * 6])
    assert NullToken.from_config(layer.get_config()).keep_cells


def test_spatial_attention_can_be_read_after_reloading(drive, tmp_path):
    config, model = drive
    model.save(tmp_path / "model.keras")
    attention = attention_model(keras.models.load_model(tmp_path / "model.keras"))
    assert attention is not None
    weights = keras.ops.convert_to_numpy(attention(tiny_drive_inputs(config))["fusion_cross_1"])
    assert weights.shape == (3, 2, 32, 13)  # heads, cells, points and the summary of the sweep
    total = weights.sum(axis=-1)
    assert ((total >= 0) & (total <= 1 + 1e-5)).all()  # the rest was left to the null key


def test_a_camera_that_asks_a_radar_by_cross_attention_keeps_its_map():
    config = tiny_drive_config(fusion_name="cross_attention", fusion={"query": "camera", "heads": 2, "layers": 1})
    outputs = build_model(config)(tiny_drive_inputs(config), training=False)
    assert {value.shape[1:3] for value in outputs.values()} == {(4, 8)}


@pytest.mark.parametrize(("without", "fusion"), [("radar", {}), ("camera", {"grid": [4, 8]})])
def test_a_model_without_one_of_its_modalities(without, fusion):
    config = tiny_drive_config(without=(without,), fusion=fusion)
    (name,) = modality_specs(config)
    assert name != without
    model = build_model(config)
    assert not [each for each in model.input if each.startswith(without)]
    inputs = {key: value for key, value in tiny_drive_inputs(config).items() if key.startswith(name)}
    inputs[f"{name}_present"] = np.array([1, 0, 1], "float32")
    assert all(np.isfinite(value).all() for value in model(inputs, training=False).values())


def test_what_is_left_out_must_be_there(config):
    import dataclasses

    with pytest.raises(ConfigError, match=r"model\.without: no modality is called 'imgae'; did you mean 'image'"):
        build_model(dataclasses.replace(config, without=("imgae",)))
    with pytest.raises(ConfigError, match="no modality"):
        build_model(dataclasses.replace(config, without=("image", "text")))


def test_a_dense_task_says_which_fusion_gives_it_a_map():
    with pytest.raises(
        ConfigError, match=r"map of 4 x 8 .* 'concat' gives no map\. .* channels, cross_attention, spatial_attention"
    ):
        build_model(tiny_drive_config(fusion_name="concat"))
    with pytest.raises(ConfigError, match=r"map of 4 x 8 .* 'spatial_attention' gives \(2, 2\)"):
        build_model(tiny_drive_config(fusion={"grid": [2, 2]}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fusion": Choice("cross_atention")}, "did you mean 'cross_attention'"),
        ({"fusion": Choice("cross_attention", {"layer": 2})}, r"model\.fusion\.options\.layer: unknown.*'layers'"),
        ({"fusion": Choice("cross_attention", {"layers": "two"})}, r"layers: expected int, got 'two' \(str\)"),
        ({"task": Choice("clasification")}, "did you mean 'classification'"),
        ({"task": Choice("classification", {"label": []})}, r"model\.task\.options\.label: unknown.*'labels'"),
    ],
)
def test_wrong_components_and_options_are_named(config, change, message):
    import dataclasses

    for refuses in (check_model, build_model):  # the first before the data is converted
        with pytest.raises(ConfigError, match=message):
            refuses(dataclasses.replace(config, **change))


def test_a_model_without_modalities_is_refused():
    with pytest.raises(ConfigError, match="has no modality"):
        build_model(ModelConfig())
