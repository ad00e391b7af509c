"""Losses that see outputs, targets, inputs and the whole batch, in Keras' own ``fit``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mmkeras.core.errors import ConfigError, TrainingError
from mmkeras.layers.tokens import Encoded, Fused, Tokens
from mmkeras.training.objective import Objective
from tests.training import toys

pytestmark = pytest.mark.tfio

BATCH, WIDTH = 8, 6


def _model(head: Callable[[Encoded], dict[str, Any]] = toys.towers) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input((WIDTH,), name=name) for name in ("image", "text")}
    tokens = {name: Tokens(keras.layers.Reshape((1, WIDTH))(value), None, of=(name,)) for name, value in inputs.items()}
    return keras.Model(inputs, head(Encoded(tokens, Fused(sum(inputs.values())))))


def _batches(batches: int = 1) -> tf.data.Dataset:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(BATCH * batches, WIDTH)).astype("float32")
    inputs = {"image": image, "text": image[:, ::-1] + 0.1}
    weights = rng.uniform(0.5, 1.5, BATCH * batches).astype("float32")
    return tf.data.Dataset.from_tensor_slices((inputs, {}, weights)).batch(BATCH, drop_remainder=True)


def _objective(model: keras.Model, losses: Any, **options: Any) -> Objective:
    model.compile(keras.optimizers.Adam(0.02), jit_compile=options.pop("jit_compile", False))
    objective = Objective(model, losses, {}, options.pop("extra", None))
    objective.prepare(_batches().element_spec)
    return objective


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("losses", [toys.contrastive, toys.uniformity, toys.two_losses])
def test_towers_learn_by_a_loss_of_the_batch(losses: Any, jit_compile: bool):
    model = _model()
    _objective(model, losses, jit_compile=jit_compile)
    history = model.fit(_batches(4), epochs=20, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.3


def test_the_loss_is_what_numpy_computes_and_its_parts_are_in_the_log():
    model = _model()
    _objective(model, toys.two_losses)
    inputs, _, weights = next(iter(_batches()))
    found = model.evaluate(_batches(), return_dict=True, verbose=0)
    outputs = {name: np.asarray(value, "float64") for name, value in model(inputs).items()}
    image, text = outputs["image_embedding"], outputs["text_embedding"]
    scores = 10 * image @ text.T
    log = lambda x: x - np.log(np.exp(x).sum(1, keepdims=True))  # noqa: E731
    parts = {
        "apart_loss": ((image - text) ** 2).sum(1),
        "image_loss": -0.5 * np.diag(log(scores)),
        "text_loss": -0.5 * np.diag(log(scores.T)),
    }
    expected = {name: float(np.mean(part * weights)) for name, part in parts.items()}
    assert found == pytest.approx({**expected, "loss": sum(expected.values())}, rel=1e-4)


def test_an_output_can_be_compared_with_an_input():
    model = _model(lambda encoded: toys.autoencoder(encoded, WIDTH))
    _objective(model, toys.reconstruction)
    history = model.fit(_batches(4), epochs=30, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < 0.6 * history[0]


def test_accumulated_gradients_and_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = _model()
    finally:
        keras.config.set_dtype_policy(before)
    model.compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), jit_compile=False)
    Objective(model, toys.contrastive, {}, None)
    history = model.fit(_batches(4), epochs=10, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_a_saved_model_knows_nothing_of_it(tmp_path: Path):
    model = _model()
    _objective(model, toys.two_losses)
    model.fit(_batches(), shuffle=False, verbose=0)
    model.save(tmp_path / "best.keras")
    again = keras.models.load_model(tmp_path / "best.keras", compile=False)
    inputs = next(iter(_batches()))[0]
    for name, value in model(inputs, training=False).items():
        np.testing.assert_array_equal(again(inputs, training=False)[name], value)
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


def test_class_balance_and_kind_of_step_are_in_the_context():
    seen = []

    def losses(outputs: Any, targets: Any, inputs: Any, context: Any) -> dict[str, Any]:
        seen.append((dict(context.class_counts), context.training, context.weights.shape[0]))
        return {"all": ops.mean(outputs["image_embedding"] + outputs["text_embedding"], axis=-1)}

    model = _model()
    model.compile("sgd", jit_compile=False)
    Objective(model, losses, {"cat": 3}, None)
    model.fit(_batches(), validation_data=_batches(), shuffle=False, verbose=0)
    assert seen == [({"cat": 3}, True, BATCH), ({"cat": 3}, False, BATCH)]


def test_extra_outputs_are_seen_in_training_alone_and_must_be_read():
    model = _model()
    plain = model.call

    def extra(inputs: Any) -> dict[str, Any]:
        outputs = plain(inputs, training=True)
        return {**outputs, "image_embedding_alone": outputs["image_embedding"]}

    def losses(outputs: Any, targets: Any, inputs: Any, context: Any) -> dict[str, Any]:
        names = list(outputs)
        assert len(names) == 2 + context.training
        return {name: ops.sum(outputs[name], axis=-1) for name in names}

    _objective(model, losses, extra=extra)
    model.fit(_batches(), validation_data=_batches(), shuffle=False, verbose=0)
    other = _model()
    _objective(other, toys.contrastive, extra=extra)
    with pytest.raises(ConfigError, match=r"options\.alone: .* read none of image_embedding_alone"):
        other.fit(_batches(), shuffle=False, verbose=0)


@pytest.mark.parametrize("wrong", [lambda *_: {}, lambda outputs, *_: dict(outputs)])
def test_what_a_hook_returns_is_checked_before_training(wrong: Any):
    with pytest.raises(TrainingError, match=r"each of shape \(\) or \(B,\); got"):
        _objective(_model(), wrong)
