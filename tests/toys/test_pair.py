"""Two pictures read with the same weights, from a configuration alone to answers of the packed bundle."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
import tensorflow as tf

from mmkeras.bundle import Bundle
from mmkeras.core.config import RunConfig
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from mmkeras.training.run import Run
from pipelines._stages.cluster import with_cluster
from pipelines._stages.story import run_story
from tests.toys.chain import PICTURE, Chain, command, run_chain
from tests.toys.tables import write_pairs

CONFIG = f"""
[model]
width = 16
[model.fusion]
name = "concat"
[model.left]{PICTURE}learning_rate_factor = 0.5
brightness = 0.1
[model.right]
kind = "image"
shares_weights_with = "left"
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("pair")
    return run_chain(
        folder, write_pairs(folder), {"left": "first", "right": "second"}, CONFIG, ("saved_model", "tflite", "onnx")
    )


def test_every_file_is_accepted_in_every_scenario(chain: Chain):
    assert chain.report.accepted
    assert {file.format for file in chain.report.files} == {"saved_model", "tflite", "onnx"}
    for file in chain.report.files:
        assert {"all", "without_left", "without_right"} <= set(file.scenarios)


def test_it_is_evaluated_without_either_picture(chain: Chain):
    assert set(chain.metrics["ablation"]["removed"]) == {"left", "right"}


def test_weights_are_stored_once(chain: Chain):
    model = Run.open(chain.run).model()
    assert [layer.name for layer in model.layers if layer.name.endswith("_branch")] == ["left_branch"]
    saved = tf.train.list_variables(str(chain.bundle() / "variables" / "variables"))
    stored = {"SavedModel": sum(math.prod(shape) for _, shape in saved if shape)}
    (file,) = (file.path for file in chain.report.files if file.format == "onnx")
    constants = onnx.load(chain.bundle() / file).graph.initializer
    stored["ONNX"] = sum(math.prod(constant.dims) for constant in constants)
    branch, whole = model.get_layer("left_branch").count_params(), model.count_params()
    assert all(whole - branch / 2 < count < whole + branch / 2 for count in stored.values()), (stored, whole, branch)


def test_the_runs_own_configuration_is_read_back(chain: Chain):
    config = with_cluster(RunConfig, chain.run, ())
    assert config.model.right.shares_weights_with == "left"  # type: ignore[attr-defined]
    assert config.model.right.size == (32, 32)  # type: ignore[attr-defined]
    arguments = ["--resume", str(chain.run), "--skip_export"]
    assert run_story(RunConfig, arguments, program=chain.folder / "toy.py", description="A toy.") == 0


def test_the_packed_bundle_proves_itself_and_answers(chain: Chain):
    with Bundle.open(chain.packed()) as bundle:
        assert selftest(bundle).passed
    pictures = [chain.folder / f"3{side}.png" for side in "lr"]
    with Predictor(chain.packed()) as predictor:
        answer = predictor.predict(left=pictures[0], right=pictures[1])
        assert answer["label"] in ("same", "other")
        assert np.isfinite(predictor.predict(right=pictures[1])["confidence"])
    status, said = command("predict", chain.bundle(), "--left", pictures[0], "--right", pictures[1])
    assert (status, "label" in said) == (0, True)
