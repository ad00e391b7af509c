from __future__ import annotations

import keras
import numpy as np
import pytest

from mmkeras.core.errors import TrainingError
from mmkeras.model import build_model
from mmkeras.training.run import Run
from tests.tiny import tiny_inputs, tiny_model_config

pytestmark = pytest.mark.tfio


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="is not a complete run"):
        Run.open(tmp_path)


def test_a_run_without_a_model_says_how_to_go_on(tmp_path):
    with pytest.raises(TrainingError, match=r"best\.keras is missing.*--resume"):
        Run(tmp_path, {}, None, {}).model()  # type: ignore[arg-type]


def test_a_model_trained_in_mixed_precision_is_loaded_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_model(tiny_model_config(tmp_path))
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "best.keras")
    loaded = Run(tmp_path, {}, None, {}).model()  # type: ignore[arg-type]
    assert {layer.compute_dtype for layer in loaded._flatten_layers()} == {"float32"}
    ours, theirs = (np.asarray(m(tiny_inputs(), training=False)["probabilities"]) for m in (loaded, model))
    np.testing.assert_allclose(ours, theirs, atol=0.05)
    assert not np.array_equal(ours, theirs)


def test_a_normalization_trained_in_mixed_precision_keeps_its_numbers(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        normalization = keras.layers.Normalization()
        model = keras.Sequential([keras.Input((2,)), normalization])
        normalization.adapt(np.array([[0.0, 100.0], [2.0, 300.0]], "float32"))
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "best.keras")
    loaded = Run(tmp_path, {}, None, {}).model()  # type: ignore[arg-type]
    np.testing.assert_allclose(loaded(np.array([[2.0, 100.0]], "float32")), [[1.0, -1.0]], rtol=1e-5)
