"""Channels whose weights are almost zero keep their constant output in static int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from export.to_litert import dead_channels, int8
from export.to_litert.int8 import LiteRTQuantizer
from export.to_litert.litert_from_saved_model import convert_saved_model
from export.verification.constants.compare import constants_problem
from export.verification.constants.litert_constants import litert_constants
from mmkeras.runtime.runner import runners

pytestmark = pytest.mark.tfio

ALIVE = 0.25


@pytest.fixture(scope="module")
def inputs() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).random((8, 8, 8, 3), np.float32)}


@pytest.fixture(scope="module", params=["convolution", "depthwise"])
def float32(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(1)
    depthwise = request.param == "depthwise"
    kernel = draw.normal(size=(3, 3, 3, 2) if depthwise else (3, 3, 3, 4)).astype(np.float32)
    (kernel.reshape(3, 3, 6) if depthwise else kernel)[..., 1] *= 1e-13
    bias = np.full(6 if depthwise else 4, ALIVE, np.float32)
    convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d

    def call(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.nn.relu6(convolve(x, kernel, [1, 1, 1, 1], "SAME") + bias)}

    folder = tmp_path_factory.mktemp("dead")
    signature = tf.function(call).get_concrete_function(tf.TensorSpec((1, 8, 8, 3), tf.float32, name="x"))
    tf.saved_model.save(tf.Module(), str(folder / "saved"), signatures={"serving_default": signature})
    path = folder / "float32.tflite"
    path.write_bytes(convert_saved_model(folder / "saved", "float32"))
    return path


def _answers(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    with runners()["tflite"](path, threads=1) as runner:
        return np.concatenate([runner.infer({"x": x[None]})["y"] for x in inputs["x"]])


def test_the_output_of_a_dead_channel_stays(
    float32: Path, inputs: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantizer = LiteRTQuantizer(float32, inputs)
    path = tmp_path / "int8.tflite"
    quantizer.write(path)
    expected, got = _answers(float32, inputs), _answers(path, inputs)
    assert expected[..., 1] == pytest.approx(ALIVE, abs=1e-6)
    assert np.abs(got - expected).max() < 0.05
    assert constants_problem(litert_constants(path), litert_constants(float32)) == ""

    # Without the correction the bias is wrong, and the comparison of constants says so.
    monkeypatch.setattr(int8, "keep_biases", lambda content, _: content)
    quantizer.write(path)
    assert np.abs(_answers(path, inputs) - expected)[..., 1].max() > ALIVE / 2
    assert "values differ by more than rounding" in constants_problem(litert_constants(path), litert_constants(float32))


def test_a_file_without_dead_channels_is_not_touched(float32: Path) -> None:
    content = float32.read_bytes()
    assert dead_channels.keep_biases(content, dead_channels.biases_of(content)) is content
