from __future__ import annotations

import keras
import numpy as np
import onnx
import pytest

from export.foreign.opening import open_model
from mmkeras.core.errors import ConfigError, DataError

ROWS = np.random.default_rng(0).uniform(size=(5, 16, 16, 3)).astype(np.float32)


def test_a_fixed_batch_is_filled_and_integers_become_real_numbers(scene):
    with open_model(scene.files["keras"]) as model:
        expected = model.infer({"image": ROWS})["probabilities"]
    for name, limit in (("tflite", 1e-5), ("quantised", 0.06)):
        with open_model(scene.files[name]) as model:
            assert model.batch == 1
            found = model.infer({"image": ROWS})["probabilities"]
        assert np.abs(found - expected).max() < limit
    with open_model(scene.files["quantised"]) as model:
        assert (model.inputs[0].dtype, round(1 / model.inputs[0].scale)) == ("uint8", 255)


def test_the_weights_of_an_onnx_file_may_be_in_another_file(scene, tmp_path):
    path = tmp_path / "net.onnx"
    model = onnx.load(str(scene.files["onnx"]))
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    onnx.save(model, str(path), **options)
    with open_model(path) as opened, open_model(scene.files["onnx"]) as whole:
        rows = {"image": np.moveaxis(ROWS, -1, 1)}
        assert np.array_equal(opened.infer(rows)["probabilities"], whole.infer(rows)["probabilities"])
        assert opened.bytes == path.stat().st_size + (tmp_path / "weights.bin").stat().st_size
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(DataError, match=r"net\.onnx: cannot be loaded"):
        open_model(path)


@pytest.mark.parametrize("shape", ["dict", "list"])
def test_keras_models_of_dicts_and_lists(tmp_path, shape):
    one, two = keras.Input((2,), name="one"), keras.Input((3,), name="two")
    score = keras.layers.Dense(1, name="score")(keras.layers.Concatenate()([one, two]))
    inputs = {"one": one, "two": two} if shape == "dict" else [one, two]
    outputs = {"score": score, "copy": two} if shape == "dict" else [score, two]
    keras.Model(inputs, outputs).save(tmp_path / "net.keras")
    with open_model(tmp_path / "net.keras") as model:
        found = model.infer({"two": np.ones((4, 3)), "one": np.zeros((4, 2))})
    assert [value.shape for value in found.values()] == [(4, 1), (4, 3)] if shape == "list" else len(found) == 2


def test_a_model_that_scales_pixels_itself_is_known(tmp_path):
    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.Rescaling(1 / 255)(image)).save(tmp_path / "net.keras")
    with open_model(tmp_path / "net.keras") as model:
        assert model.rescales


def test_a_signature_is_chosen_by_name(scene):
    with pytest.raises(ConfigError, match="has no 'serve_default'; did you mean 'serving_default'"):
        open_model(scene.files["saved_model"], "serve_default")
    with pytest.raises(ConfigError, match="is no SavedModel"):
        open_model(scene.files["onnx"], "serving_default")


def test_an_empty_folder_and_an_input_of_strings_are_refused(tmp_path):
    import tensorflow as tf

    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"without saved_model\.pb"):
        open_model(tmp_path / "empty")
    module = tf.Module()
    spec = tf.TensorSpec((None,), tf.string, name="bytes")
    module.serve = tf.function(lambda bytes: {"size": tf.strings.length(bytes)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "strings"), signatures=module.serve)
    with pytest.raises(DataError, match="input bytes takes string"):
        open_model(tmp_path / "strings")
