from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from mmkeras.training import fused_batch_norm as module
from mmkeras.training.fused_batch_norm import fused_batch_norm
from mmkeras.training.interrupts import Interrupted
from mmkeras.training.quantization_aware.grid import GRIDS
from mmkeras.training.quantization_aware.model import QuantizationAware
from tests.conftest import REPOSITORY
from tests.training.graphs import traced_operations
from tests.training.tiny_run import interrupt_after, start

FUSED = "FusedBatchNormV3"


def _layer(channels: int, seed: int = 0, **options: Any) -> layers.BatchNormalization:
    """Return a layer whose weights and statistics are random."""
    layer = layers.BatchNormalization(**{"momentum": 0.6, **options})
    layer.build((None, None, None, channels))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(0.5, 2.0, weight.shape) for weight in layer.weights])
    return layer


def _step(layer: Any, values: np.ndarray, upstream: np.ndarray, context: AbstractContextManager[Any]) -> list[Any]:
    """Return outputs, gradients (inputs, gamma, beta) and moving statistics of one training step."""

    @tf.function(jit_compile=False)
    def step(values: Any, upstream: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = layer(values, training=True)
        found = tape.gradient(outputs, [values, layer.gamma.value, layer.beta.value], output_gradients=upstream)
        return outputs, *found

    with context:
        found = [part.numpy() for part in step(tf.constant(values), tf.constant(upstream))]
    return [*found, layer.moving_mean.numpy(), layer.moving_variance.numpy()]


def _both(shape: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(1)
    values = rng.normal(3.0, 2.0, shape).astype("float32")
    # With a mean of 0: otherwise the gradient of gamma is the mean's rounding error times a large sum, also in Keras.
    upstream = rng.normal(size=shape).astype("float32")
    fused, by_keras = _layer(shape[-1]), _layer(shape[-1])
    model = keras.Sequential([keras.Input(shape[1:], batch_size=shape[0]), fused])
    return (
        _step(fused, values, upstream, fused_batch_norm(model)),
        _step(by_keras, values, upstream, contextlib.nullcontext()),
    )


def _differences(ours: list[Any], theirs: list[Any]) -> list[float]:
    """Return the largest difference of each array, relative to the largest number in it, where that is above 1."""
    return [float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (2, 1, 1, 4), (1, 1, 1, 3), (1, 9, 1, 1), (32, 16, 16, 8)])
def test_a_step_gives_the_outputs_gradients_and_statistics_of_keras(shape: tuple[int, ...]):
    assert max(_differences(*_both(shape))) < 5e-6


@pytest.mark.parametrize(
    "wrong",
    [lambda variance, count: variance, lambda variance, count: variance * (count / (count - 1))],
    ids=["none", "the wrong way round"],
)
def test_a_wrong_correction_of_the_variance_would_be_seen(wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_biased", wrong)
    *others, variance = _differences(*_both((32, 16, 16, 8)))
    assert max(others) < 5e-6
    assert variance > 2e-5


def test_rounding_stays_small_up_to_the_most_values():
    values = np.random.default_rng(0).standard_normal((module.MOST_VALUES // 1024, 32, 32, 1)).astype(np.float32) + 3
    moments = {"mean": [], "variance": [], "epsilon": 1e-3, "is_training": True}
    _, _, variance, *_ = tf.raw_ops.FusedBatchNormV3(x=values, scale=[1.0], offset=[0.0], **moments)
    exact = values.astype(np.float64).var()
    assert abs(float(variance[0]) - exact) < 1e-3 * exact


def test_a_step_gives_the_same_bits_each_time():
    rng = np.random.default_rng(2)
    values, upstream = (rng.normal(size=(16, 24, 24, 12)).astype("float32") for _ in range(2))
    layer = _layer(12)
    model = keras.Sequential([keras.Input((24, 24, 12), batch_size=16), layer])
    state, seen = layer.get_weights(), set()
    for _ in range(50):
        layer.set_weights(state)
        seen.add(b"".join(part.tobytes() for part in _step(layer, values, upstream, fused_batch_norm(model))))
    assert len(seen) == 1


# === Where it applies ===


def _traced(model: keras.Model, training: bool = True, batch: int | None = 2, **mask: Any) -> Any:
    """Trace a call within the context, and return what it did."""
    specs = [tf.TensorSpec((batch, *each.shape[1:]), each.dtype) for each in model.inputs]

    def call(*inputs: Any) -> Any:
        return model(inputs[0] if len(inputs) == 1 else list(inputs), training=training, **mask)

    with fused_batch_norm(model):
        return tf.function(call, autograph=False).get_concrete_function(*specs)


def _model(shape: tuple[int, ...] = (4, 4, 3), dtype: str = "float32", **options: Any) -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype=dtype), layers.BatchNormalization(dtype=dtype, **options)])


def _frozen() -> keras.Model:
    model = _model()
    model.trainable = False
    return model


def test_a_training_step_uses_it_also_in_nested_models():
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.BatchNormalization()])
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, layers.BatchNormalization()(inner(inputs)))
    assert traced_operations(_traced(model))[FUSED] == 2


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (_model, {"training": False}),
        (_frozen, {}),
        (_model, {"batch": None}),
        (_model, {"batch": 0}),
        (lambda: _model((300, 300, 1)), {"batch": 12}),
        (lambda: _model(center=False), {}),
        (lambda: _model(scale=False), {}),
        (lambda: _model(axis=1), {}),
        (lambda: _model(renorm=True), {}),
        (lambda: _model(synchronized=True), {}),
        (lambda: _model((3,)), {}),
        (lambda: _model((4, 3)), {}),
        (lambda: _model((2, 4, 4, 3)), {}),
        (lambda: _model(dtype="float64"), {}),
        (lambda: _model(dtype="bfloat16"), {}),
        (lambda: keras.Sequential([keras.Input((4, 4, 3)), layers.BatchNormalization(dtype="mixed_bfloat16")]), {}),
    ],
    ids=[
        *("inference", "frozen", "unknown batch", "empty batch", "many values", "no centre", "no scale", "axis"),
        *("renorm", "synchronized", "rank 2", "rank 3", "rank 5", "float64", "bfloat16", "mixed precision"),
    ],
)
def test_elsewhere_the_layer_computes_as_keras_does(make: Callable[[], keras.Model], options: dict[str, Any]):
    assert traced_operations(_traced(make(), **options))[FUSED] == 0


def test_masked_statistics_are_those_of_keras():
    layer = layers.BatchNormalization()
    values, mask = keras.Input((4, 4, 3)), keras.Input((4, 4), dtype="bool")
    assert traced_operations(_traced(keras.Model([values, mask], layer(values, mask=mask))))[FUSED] == 0


def test_quantization_aware_training_uses_the_moving_statistics():
    inputs = keras.Input((4, 4, 3))
    x = layers.BatchNormalization()(layers.Conv2D(2, 1)(inputs))
    model = QuantizationAware(keras.Model(inputs, x), GRIDS["tflite"])
    with fused_batch_norm(model):
        step = tf.function(lambda x: model(x, training=True), autograph=False)
        assert traced_operations(step.get_concrete_function(tf.TensorSpec((2, 4, 4, 3))))[FUSED] == 0


REPLICAS = """
import keras, tensorflow as tf
from mmkeras.training.fused_batch_norm import fused_batch_norm
from tests.training.graphs import traced_operations
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
    strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.BatchNormalization()])
    step = tf.function(lambda: strategy.run(lambda: model(tf.ones((2, 4, 4, 3)), training=True)), autograph=False)
    with fused_batch_norm(model):
        print(traced_operations(step.get_concrete_function())["FusedBatchNormV3"])
"""


def test_one_replica_uses_it_and_several_do_not():
    """Several replicas share their moments, in a process of its own: a CPU is divided only at the start."""
    done = subprocess.run([sys.executable, "-c", REPLICAS], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "0"]


# === A run ===


def _operations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each traced operation of the kernel is added."""
    traced, kernel = [], tf.raw_ops.FusedBatchNormV3

    def counted(**options: Any) -> Any:
        traced.append(FUSED)
        return kernel(**options)

    monkeypatch.setattr(tf.raw_ops, FUSED, counted)
    return traced


@pytest.mark.slow
def test_a_run_trains_with_it_and_goes_on_with_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    traced = _operations(monkeypatch)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    keras.utils.set_random_seed(0)
    whole = start(tmp_path / "whole", picture=True)
    whole.resumed()
    model = whole.run.model()
    normalizations = sum(isinstance(each, layers.BatchNormalization) for each in model._flatten_layers())
    # TensorFlow traces the first step twice: the first time, metrics create their variables.
    assert len(traced) == 2 * normalizations > 0
    stopped = start(tmp_path / "stopped", picture=True)
    with monkeypatch.context() as patched:
        interrupt_after(patched, 3)
        with pytest.raises(Interrupted):
            stopped.resumed()
    stopped.resumed()
    for found, expected in zip(stopped.run.model().get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


# === What stays ===


@pytest.fixture
def trained(tmp_path: Path) -> tuple[keras.Model, Path]:
    """Return a model trained for a few steps, saved within the context as a checkpoint callback does."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(layers.Conv2D(4, 3, use_bias=False)(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    data = tf.data.Dataset.from_tensors((rng.normal(2, 3, (6, 8, 8, 3)), rng.normal(size=(6, 2)))).repeat(5)
    with fused_batch_norm(model):
        model.fit(data, shuffle=False, verbose=0)
        model.save(tmp_path / "model.keras")
    return model, tmp_path / "model.keras"


def test_the_model_stays_a_model_of_keras(trained: tuple[keras.Model, Path]):
    model, path = trained
    assert all("call" not in vars(layer) for layer in model.layers)
    with zipfile.ZipFile(path) as archive:
        saved = json.loads(archive.read("config.json"))["config"]["layers"]
    assert {layer["module"] for layer in saved} == {"keras.layers"}
    assert [layer["class_name"] for layer in saved] == [type(layer).__name__ for layer in model.layers]
    loaded = keras.models.load_model(path)
    assert type(loaded.layers[2]) is layers.BatchNormalization
    for mine, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_inference_and_exports_are_the_same_to_the_bit(trained: tuple[keras.Model, Path]):
    model, _ = trained

    def exported() -> tuple[bytes, bytes]:
        call = tf.function(lambda x: model(x, training=False), autograph=False)
        concrete = call.get_concrete_function(tf.TensorSpec((1, 8, 8, 3)))
        outputs = concrete(tf.ones((1, 8, 8, 3))).numpy().tobytes()
        return tf.lite.TFLiteConverter.from_concrete_functions([concrete], model).convert(), outputs

    with fused_batch_norm(model):
        within = exported()
    assert within == exported()
