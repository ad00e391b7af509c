"""Two modalities read by one branch: the weights exist once, and both inputs train them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import ConfigError
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.radar.spec import Config as RadarConfig
from mmkeras.modalities.text.spec import Config as TextConfig
from mmkeras.model import build_model, learning_rate_factors
from mmkeras.training.optimizer import variable_factors
from mmkeras.training.summary import parts
from tests.tiny import CAMERA, IMAGE, tiny_model_config

TASK = Choice("classification", {"labels": ["no", "yes"]})


def pair(first: Any, **changes: Any) -> ModelConfig:
    """Return a model of two modalities of one kind; the second shares the weights of the first."""
    second = dataclasses.replace(first, shares_weights_with="left", **changes)
    fields = [("left", type(first), first), ("right", type(first), second)]
    made: Any = dataclasses.make_dataclass("Pair", fields, bases=(ModelConfig,), frozen=True)
    config: ModelConfig = made(width=16, fusion=Choice("mean"), task=TASK)
    return config


def _inputs(model: keras.Model, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    values = {}
    for tensor in model.inputs:
        shape = (4, *tensor.shape[1:])
        values[tensor.name] = rng.integers(1, 9, shape).astype(tensor.dtype)
        if tensor.name.endswith(("_present", "_mask")):
            values[tensor.name] = np.ones(shape, tensor.dtype)
    return values


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, Any]:
    text: TextConfig = tiny_model_config(tmp_path).text
    pyramid = dataclasses.replace(IMAGE, pyramid=True, position_embedding=False)
    return {
        "image": IMAGE,
        "pyramid": pyramid,
        "text": text,
        "radar": RadarConfig(max_points=6, camera=CAMERA, heads=2),
    }


@pytest.mark.parametrize("kind", ["image", "pyramid", "text", "radar"])
def test_both_read_with_the_same_variables(configs: dict[str, Any], kind: str, tmp_path: Path):
    model = build_model(pair(configs[kind]))
    apart: Any = pair(configs[kind])
    apart = build_model(dataclasses.replace(apart, right=dataclasses.replace(apart.right, shares_weights_with="")))
    assert [layer.name for layer in model.layers if layer.name.endswith("_branch")] == ["left_branch"]
    branch = model.get_layer("left_branch")
    assert len(branch.variables) == len(apart.get_layer("right_branch").variables)
    assert len(model.variables) == len(apart.variables) - len(branch.variables)
    assert parts(model)[0].flops == sum(part.flops for part in parts(apart)[:2])

    inputs = _inputs(model)
    inputs |= {key.replace("left", "right", 1): value for key, value in inputs.items() if key.startswith("left")}
    tokens = {side: model.get_layer(f"{side}_null_token").output[0] for side in ("left", "right")}
    read = keras.Model(model.input, tokens)(inputs)
    np.testing.assert_array_equal(read["left"], read["right"])

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert len(loaded.variables) == len(model.variables)
    given, again = (np.asarray(each(inputs, training=False)["probabilities"]) for each in (model, loaded))
    np.testing.assert_allclose(given, again, atol=1e-6)


@pytest.mark.parametrize("missing", ["left", "right"])
def test_either_picture_moves_the_shared_weights(missing: str):
    model = build_model(pair(IMAGE))
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    inputs = {**_inputs(model), f"{missing}_present": np.zeros(4, "float32")}
    kernel = model.get_layer("left_branch").get_layer("left_projection").kernel
    before = np.array(kernel)
    model.train_on_batch(inputs, {"probabilities": np.array([0, 1, 0, 1])})
    assert np.abs(np.array(kernel) - before).max() > 0


def test_learning_rate_factors_and_frozen_stages_hold_for_the_branch():
    slow = dataclasses.replace(IMAGE, learning_rate_factor=0.1, frozen_stages=-1)
    config = pair(slow)
    assert learning_rate_factors(config) == {"left_branch": 0.1}
    model = build_model(config)
    assert not any("edge" in variable.path for variable in model.trainable_variables)
    factors = variable_factors(build_model(pair(dataclasses.replace(slow, frozen_stages=0))), {"left_branch": 0.1})
    assert set(factors) == {0.1, 1.0}


def test_a_model_without_the_first_modality_builds_the_branch_for_the_other():
    model = build_model(dataclasses.replace(pair(IMAGE), without=("left",)))
    assert model.get_layer("right_branch")
    assert {tensor.name for tensor in model.inputs} == {"right", "right_present"}


def test_two_modalities_cannot_give_a_tensor_one_name():
    fields = [("left", ImageConfig, IMAGE), ("left_present", ImageConfig, IMAGE)]
    made: Any = dataclasses.make_dataclass("Clash", fields, bases=(ModelConfig,), frozen=True)
    with pytest.raises(ConfigError, match=r"model\.left_present: left has an input 'left_present', too"):
        build_model(made(width=16, fusion=Choice("mean"), task=TASK))
