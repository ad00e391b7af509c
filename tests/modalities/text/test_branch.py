from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.media.text.vocabulary import SPECIAL_TOKENS
from mmkeras.modalities.text import branch
from mmkeras.modalities.text.spec import Config, Spec

pytestmark = pytest.mark.tfio

SPEC = Spec("question", 8, (*SPECIAL_TOKENS, "what", "is", "it", "?"))
CONFIG = Config(max_length=8, layers=1, heads=2, hidden=8, intermediate=16)


def model(config: Config = CONFIG) -> keras.Model:
    keras.utils.set_random_seed(0)
    built = branch.build(SPEC, config, 4)
    return keras.Model(built.inputs, {"values": built.tokens.values, "mask": built.tokens.mask})


def batch(*texts: str) -> dict[str, np.ndarray]:
    samples = [SPEC.preprocess(text) for text in texts]
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def values(network: Any, inputs: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(network(inputs, training=False)["values"])


def test_tokens() -> None:
    network = model()
    outputs = network(batch("what is it?", ""))
    assert network.output["values"].shape == (None, 8, 4)
    assert outputs["values"].shape == (2, 8, 4)
    assert outputs["mask"].numpy().tolist() == [[1] * 6 + [0] * 2, [1] * 2 + [0] * 6]
    assert [tensor.name for tensor in SPEC.tensors] == list(network.input)


def test_padding_has_no_influence() -> None:
    network = model()
    inputs = batch("what is it?")
    other = {**inputs, "question_token_ids": np.where(inputs["question_padding_mask"], inputs["question_token_ids"], 5)}
    np.testing.assert_allclose(values(network, inputs)[:, :6], values(network, other)[:, :6], atol=1e-6)


def test_absent_is_finite() -> None:
    inputs = {name: value[None] for name, value in SPEC.absent().items()}
    assert np.isfinite(values(model(), inputs)).all()


def test_every_variable_is_below_the_branch_and_learns() -> None:
    network = model()
    assert all(variable.path.startswith("question_branch/") for variable in network.weights)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(batch("what is it?"), training=True)["values"] ** 2)
    gradients = tape.gradient(loss, network.trainable_weights)
    assert all(gradient is not None for gradient in gradients)


def test_frozen_encoder_leaves_the_projection() -> None:
    network = model(Config(**{**vars(CONFIG), "frozen": True}))
    assert [v.path for v in network.trainable_weights] == [
        "question_branch/projection/kernel",
        "question_branch/projection/bias",
    ]
    inputs = batch("what is it?")
    np.testing.assert_array_equal(network(inputs, training=True)["values"], values(network, inputs))


def test_dropout_acts_in_training_only() -> None:
    network = model(Config(**{**vars(CONFIG), "dropout": 0.5}))
    inputs = batch("what is it?")
    assert (np.asarray(network(inputs, training=True)["values"]) != values(network, inputs)).any()
    np.testing.assert_array_equal(values(network, inputs), values(network, inputs))


def test_mixed_precision() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = model()
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.output["values"].dtype == "bfloat16"
    assert all(variable.dtype == "float32" for variable in network.trainable_weights)


def test_saved_model_is_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    network = model()
    inputs = batch("what is it?", "")
    network.save(tmp_path / "model.keras")
    np.save(tmp_path / "inputs.npy", np.stack(list(inputs.values())))
    program = """
import sys, numpy as np, keras
network = keras.saving.load_model(sys.argv[1] + "/model.keras")
ids, mask = np.load(sys.argv[1] + "/inputs.npy")
outputs = network({"question_token_ids": ids, "question_padding_mask": mask}, training=False)
np.save(sys.argv[1] + "/values.npy", outputs["values"])
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "values.npy"), values(network, inputs))


def test_litert_needs_builtin_ops_only(tmp_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    network = model()
    archive = keras.export.ExportArchive()
    archive.track(network)
    signature = {t.name: tf.TensorSpec((1, *t.shape), t.dtype, name=t.name) for t in SPEC.tensors}
    archive.add_endpoint("serve", lambda x: network(x, training=False)["values"], input_signature=[signature])
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    runner = interpreter.Interpreter(model_content=converter.convert()).get_signature_runner("serving_default")
    inputs = batch("what is it?")
    (outputs,) = runner(**inputs).values()
    np.testing.assert_allclose(outputs, values(network, inputs), atol=1e-5)


def test_pooling_gives_the_mean_of_the_real_tokens() -> None:
    config = Config(max_length=8, layers=1, heads=2, hidden=8, intermediate=16, pooling="mean")
    pooled, network = model(config), model()
    network.set_weights(pooled.get_weights())
    inputs = batch("what is it?", "what", "")
    tokens, mask = values(network, inputs), inputs["question_padding_mask"][..., None]
    expected = (tokens * mask).sum(1, keepdims=True) / mask.sum(1, keepdims=True)
    np.testing.assert_allclose(values(pooled, inputs), expected, atol=1e-6)
    np.testing.assert_array_equal(pooled(inputs)["mask"], np.ones((3, 1)))
    absent = {name: value[None] for name, value in SPEC.absent().items()}
    assert np.isfinite(values(pooled, absent)).all()
