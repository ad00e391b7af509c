from __future__ import annotations

import keras
import numpy as np
import pytest

from mmkeras.components import Choice
from mmkeras.config import ModelConfig
from mmkeras.errors import ConfigError
from mmkeras.model import NullToken, attention_model, build_model, learning_rate_factors, modality_specs
from tests.tiny import LABELS, tiny_inputs, tiny_model_config


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

    with pytest.raises(ConfigError, match=message):
        build_model(dataclasses.replace(config, **change))


def test_a_model_without_modalities_is_refused():
    with pytest.raises(ConfigError, match="has no modality"):
        build_model(ModelConfig())
