"""The user's Keras settings: refused where they cannot be, set where they can."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mmkeras.core.errors import ConfigError
from mmkeras.layers.keras_settings import check_keras, use_keras
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.tfio


@pytest.mark.parametrize(
    ("settings", "environment", "message"),
    [
        ({"backend": "theano"}, {}, r"keras\.json: backend: mmkeras needs TensorFlow, got 'theano'"),
        ({}, {"KERAS_BACKEND": "jax"}, "KERAS_BACKEND: mmkeras needs TensorFlow, got 'jax'"),
        ({"floatx": "bfloat16"}, {}, "floatx: expected one of float16, float32, float64, got 'bfloat16'"),
        ({"image_data_format": "tf"}, {}, "image_data_format: expected one of channels_last, channels_first"),
        ({"epsilon": 1}, {}, "epsilon: expected a number such as 1e-07, got 1"),
        ([], {}, "expected a JSON object, got list"),
        ({}, {"KERAS_MAX_EPOCHS": "1"}, r"KERAS_MAX_EPOCHS is '1'.*use --train\.epochs"),
    ],
)
def test_what_cannot_be_is_refused_before_keras_is_imported(tmp_path, monkeypatch, settings, environment, message):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    with pytest.raises(ConfigError, match=message):
        check_keras({"KERAS_HOME": str(tmp_path), **environment})


def test_usual_and_damaged_settings_are_taken_as_keras_takes_them(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    for text in ('{"backend": "jax", "image_data_format": "channels_first", "floatx": "float16"}', "{", ""):
        (tmp_path / "keras.json").write_text(text)
        check_keras({"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow"})
    check_keras({"KERAS_HOME": str(tmp_path / "nowhere")})


def test_keras_that_is_imported_with_another_backend_is_refused(monkeypatch):
    import keras

    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(ConfigError, match="imported with the backend 'torch'"):
        check_keras()


def test_a_model_does_not_depend_on_the_programs_settings(tmp_path):
    import keras

    from mmkeras.layers.keras_files import load_model
    from mmkeras.model import build_model
    from tests.tiny import tiny_inputs, tiny_model_config

    use_keras()
    config, inputs = tiny_model_config(tmp_path), tiny_inputs()
    keras.utils.set_random_seed(0)
    model = build_model(config)
    expected = {name: keras.ops.convert_to_numpy(value) for name, value in model(inputs).items()}
    model.save(tmp_path / "model.keras")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        loaded = load_model(tmp_path / "model.keras")
        keras.config.set_image_data_format("channels_first")
        keras.utils.set_random_seed(0)
        built = build_model(config)
        for name, value in expected.items():
            for other in (loaded, built):
                got = keras.ops.convert_to_numpy(other(inputs)[name])
                assert got.dtype == value.dtype
                assert (got == value).all()
    finally:
        use_keras()


@pytest.mark.parametrize(
    "command",
    [
        ("pipelines.vqa",),
        ("export", "nowhere"),
        ("export", "doctor", "vqa"),
        ("export", "fine-tune", "nowhere"),
        ("export.calibration", "nowhere"),
    ],
)
def test_every_program_names_the_backend(tmp_path, command):
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "KERAS_BACKEND: mmkeras needs TensorFlow, got 'jax'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
