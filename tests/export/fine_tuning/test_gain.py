"""A model that int8 ruins, recovered: int8 files with every layer in them, before and after."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf2onnx
from keras import layers

from export.quantization.layers import Quantizer
from export.to_litert.int8 import LiteRTQuantizer
from export.to_litert.litert_from_saved_model import convert_saved_model
from export.to_onnx.int8 import OnnxQuantizer
from mmkeras.runtime.runner import runners
from mmkeras.training.quantization_aware.grid import GRIDS
from mmkeras.training.quantization_aware.model import QuantizationAware

LOUD = 100.0


def samples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (N, 6, 6, 3) and what is asked of them (N, 1): how far their two first channels agree."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(count, 1, 1, 3)) + 0.3 * rng.normal(size=(count, 6, 6, 3))
    return pixels.astype("float32"), np.tanh(pixels[..., 0] * pixels[..., 1]).mean((1, 2))[:, None].astype("float32")


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A trained model with one channel 100 times louder than the others, and its readers as much quieter.

    The function is the same, but the loud channel takes the steps of int8 from its neighbours.
    """
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3), name="pixels")
    x = layers.Conv2D(16, 1, activation="relu", name="first")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(32, activation="relu", name="second")(x)
    model = keras.Model({"pixels": inputs}, {"answer": layers.Dense(1, name="third")(x)}, name="loud")
    pixels, target = samples(2048, 0)
    model.compile(keras.optimizers.Adam(1e-2), loss={"answer": "mse"})
    model.fit({"pixels": pixels}, {"answer": target}, epochs=25, batch_size=64, verbose=0)
    kernel, bias = model.get_layer("first").get_weights()
    readers, rest = model.get_layer("second").get_weights()
    kernel[..., 0] *= LOUD
    bias[0] *= LOUD
    readers[0] /= LOUD
    model.get_layer("first").set_weights([kernel, bias])
    model.get_layer("second").set_weights([readers, rest])
    return model


def copy_of(model: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def error(got: np.ndarray) -> float:
    """Return the root mean square error on new samples."""
    return float(np.sqrt(np.mean((got - samples(256, 1)[1]) ** 2)))


def float_error(model: keras.Model) -> float:
    return error(np.asarray(model({"pixels": samples(256, 1)[0]})["answer"]))


def int8_error(model: keras.Model, format: str, folder: Path) -> float:
    """Return the error of the int8 file."""
    calibration = {"pixels": samples(128, 2)[0]}
    signature = tf.TensorSpec((1 if format == "tflite" else None, 6, 6, 3), tf.float32, name="pixels")
    float32 = folder / f"float32.{format}"
    quantizer: Quantizer
    if format == "tflite":
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serving_default", lambda pixels: model({"pixels": pixels}), [signature])
        archive.write_out(str(folder / "saved"), verbose=False)
        float32.write_bytes(convert_saved_model(folder / "saved", "float32"))
        quantizer = LiteRTQuantizer(float32, calibration)
    else:
        function = tf.function(lambda pixels: model({"pixels": pixels}))
        tf2onnx.convert.from_function(function, [signature], opset=17, output_path=str(float32))
        quantizer = OnnxQuantizer(float32, calibration, folder)
    path = folder / f"int8.{format}"
    quantizer.write(path)
    with runners()[format](path, threads=1) as runner:
        rows = [runner.infer({"pixels": row[None]}) for row in samples(256, 1)[0]]
    return error(np.concatenate([next(iter(row.values())) for row in rows]))


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_int8_loses_less_after_fine_tuning(trained, tmp_path, format):
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    model = copy_of(trained)
    whole = float_error(model)
    before = int8_error(model, format, tmp_path / "before")
    assert before > 1.3 * whole, "int8 has to cost something for the test to mean anything"
    aware = QuantizationAware(model, GRIDS[format])
    pixels, target = samples(2048, 0)
    aware.calibrate([{"pixels": pixels[:256]}])
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, 15 * 32)
    aware.compile(keras.optimizers.Adam(schedule), loss={"answer": "mse"})
    aware.fit({"pixels": pixels}, {"answer": target}, epochs=15, batch_size=64, verbose=0)
    after = int8_error(model, format, tmp_path / "after")
    assert after - whole < 0.7 * (before - whole)


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_the_simulated_error_is_that_of_the_file(trained, tmp_path, format):
    aware = QuantizationAware(copy_of(trained), GRIDS[format])
    aware.calibrate([{"pixels": samples(128, 2)[0]}])
    simulated = float_error(aware)
    assert int8_error(trained, format, tmp_path) == pytest.approx(simulated, rel=0.25)
