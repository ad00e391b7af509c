"""A model that answers as its int8 export will, around a float model that stays what it is."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from mmkeras.model import build_model
from mmkeras.training.quantization_aware.grid import GRIDS
from mmkeras.training.quantization_aware.model import QuantizationAware
from mmkeras.training.quantization_aware.watch import watched
from tests.tiny import tiny_drive_config, tiny_drive_inputs, tiny_inputs, tiny_model_config


def answers(model: Any, inputs: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in model(inputs, training=False).items()}


@pytest.fixture(scope="module", params=["vqa", "drive"])
def case(request, tmp_path_factory):
    keras.utils.set_random_seed(0)
    if request.param == "vqa":
        return build_model(tiny_model_config(tmp_path_factory.mktemp("vqa"))), tiny_inputs(8)
    config = tiny_drive_config()
    return build_model(config), tiny_drive_inputs(config)


@pytest.mark.parametrize("format", sorted(GRIDS))
def test_it_answers_nearly_as_the_float_model_which_stays_as_it_is(case, format):
    model, inputs = case
    expected = answers(model, inputs)
    own = {id(layer): set(vars(layer)) for layer in model._flatten_layers()}
    aware = QuantizationAware(model, GRIDS[format])
    aware.calibrate([inputs, inputs])
    got = answers(aware, inputs)
    for name, value in expected.items():
        scale = max(1.0, np.abs(value).max())
        assert 0 < np.abs(got[name] - value).max() < 0.1 * scale
        np.testing.assert_array_equal(answers(model, inputs)[name], value)
    assert {id(layer): set(vars(layer)) for layer in model._flatten_layers()} == own


def test_a_layer_that_fails_leaves_the_model_as_it_was(case):
    model, inputs = case
    aware = QuantizationAware(model, GRIDS["tflite"])

    def failing(place: int, output: bool, values: Any) -> Any:
        raise RuntimeError(f"{place} {output} {values.shape}")

    with pytest.raises(RuntimeError), watched(model, aware.places, failing, outputs=True):
        model(inputs)
    assert not any("call" in vars(layer) for layer in model._flatten_layers())


def small() -> keras.Model:
    inputs = keras.Input((6, 6, 3), name="pixels")
    x = layers.Conv2D(8, 3, use_bias=False, name="conv")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Dropout(0.5, seed=1, name="dropout")(layers.Flatten()(x))
    return keras.Model({"pixels": inputs}, {"answer": layers.Dense(1, name="head")(x)}, name="small")


@pytest.fixture
def trained():
    """A small model, a step of training behind it, and its weights from before."""
    keras.utils.set_random_seed(0)
    model = small()
    rng = np.random.default_rng(0)
    inputs = {"pixels": rng.normal(size=(32, 6, 6, 3)).astype("float32")}
    aware = QuantizationAware(model, GRIDS["tflite"])
    aware.calibrate([inputs])
    before = {v.path: np.array(v.value) for v in aware.variables}
    aware.compile("adam", loss={"answer": "mse"})
    aware.fit(inputs, {"answer": np.ones((32, 1), "float32")}, epochs=2, batch_size=16, verbose=0)
    return aware, model, before, inputs


def test_training_moves_weights_ranges_and_dropout_but_no_batch_statistics(trained):
    aware, _, before, _ = trained
    after = {v.path: np.array(v.value) for v in aware.variables}
    moved = {path for path, value in before.items() if not np.array_equal(value, after[path])}
    assert not any("moving_" in path for path in moved)
    for part in ("conv/kernel", "bn/gamma", "head/bias", "seed_generator_state", "input_0/maximum", "output_1/maximum"):
        assert any(path.endswith(part) for path in moved), part


def test_what_is_saved_is_the_float_model_alone(trained, tmp_path):
    aware, model, _, inputs = trained
    aware.save(tmp_path / "best.keras")
    loaded = keras.models.load_model(tmp_path / "best.keras")
    assert type(loaded) is type(model)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(answers(loaded, inputs)["answer"], answers(model, inputs)["answer"])


def test_its_state_with_the_ranges_is_saved_and_loaded(trained, tmp_path):
    aware, _, _, inputs = trained
    aware.save_weights(tmp_path / "state.weights.h5")
    other = QuantizationAware(small(), GRIDS["tflite"])
    other.compile("adam", loss={"answer": "mse"})
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "state.weights.h5")
    np.testing.assert_array_equal(answers(other, inputs)["answer"], answers(aware, inputs)["answer"])


def test_layers_are_those_of_the_float_model(trained):
    aware, model, _, _ = trained
    assert aware.get_layer("conv") is model.get_layer("conv")
