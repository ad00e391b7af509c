"""A run of several stages: what they hand on, where one goes on, and what is said of them."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest

from mmkeras.core.config import RunConfig, StageConfig
from mmkeras.core.errors import ConfigError
from mmkeras.layers.keras_files import load_model
from mmkeras.model import build_model
from mmkeras.training.fit import Fitted
from mmkeras.training.interrupts import Interrupted
from mmkeras.training.run import Run
from mmkeras.training.stages import check_stages, stages_of
from tests.training.methods.toys import known
from tests.training.tiny_run import TinyRun, interrupt_after, start

STAGES = (
    StageConfig("pretrain", "hidden_words", {"share": 0.5}, {"epochs": 2, "learning_rate": 3e-3}),
    StageConfig("fit", train={"epochs": 1, "modality_dropout": 0.0}),
)


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> TinyRun:
    known(monkeypatch)
    keras.utils.set_random_seed(0)
    return start(tmp_path, stages=STAGES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Fitted, Run]:
    """The same run without an interruption."""
    with pytest.MonkeyPatch.context() as patched:
        known(patched)
        tiny = start(tmp_path_factory.mktemp("whole"), stages=STAGES)
        return tiny.resumed(), tiny.run


def test_a_stage_starts_from_the_best_weights_of_the_one_before_without_its_head(tiny, monkeypatch):
    interrupt_after(monkeypatch, 12 + 1)  # two epochs of six steps, and the first step of the second stage
    with pytest.raises(Interrupted):
        tiny.resumed()
    pretrained = load_model(tiny.run.folder / "stages" / "pretrain" / "best.keras")
    assert "pretrain_words" in {layer.name for layer in pretrained.layers}
    started = build_model(tiny.config.model)
    (checkpoint,) = (tiny.run.folder / "checkpoints").iterdir()
    started.load_weights(checkpoint / "state.weights.h5", skip_mismatch=False)
    learnt, now = (model.get_layer("text_branch").get_weights() for model in (pretrained, started))
    # One step at the start of the warm-up moves them by next to nothing.
    for before, after in zip(learnt, now, strict=True):
        np.testing.assert_allclose(after, before, atol=2e-3)
    assert "pretrain_words" not in {layer.name for layer in started.layers}


@pytest.mark.parametrize("steps", [3, pytest.param(12, marks=pytest.mark.slow), 15])
def test_a_run_goes_on_in_the_stage_that_was_stopped(tiny, whole, monkeypatch, steps):
    with monkeypatch.context() as patched:
        interrupt_after(patched, steps)
        with pytest.raises(Interrupted, match=rf"after step {steps % 12 or 12};"):
            tiny.resumed()
    again = tiny.resumed()
    expected, run = whole
    assert again.history[0] == pytest.approx(expected.history[0])
    assert Run.open(tiny.run.folder).provenance["stages"][0]["epochs"] == 2
    for found, value in zip(tiny.run.model().get_weights(), run.model().get_weights(), strict=True):
        np.testing.assert_allclose(found, value, atol=1e-6)
    if steps >= 12:
        assert "stage pretrain: Training had already finished; nothing is left to resume." in tiny.said


def test_every_stage_is_reported(tiny):
    tiny.resumed()
    noted = json.loads((tiny.run.folder / "run.json").read_text())["stages"]
    assert [(each["name"], each["method"], each["epochs"]) for each in noted] == [
        ("pretrain", "hidden_words", 2),
        ("fit", "supervised", 1),
    ]
    assert noted[0]["best"]["val_loss"] > 0
    assert noted[1]["best"]["val_accuracy"] >= 0
    assert "stage pretrain: epoch 2/2" in tiny.said
    assert "stage fit: epoch 1/1" in tiny.said
    for folder in (tiny.run.folder, tiny.run.folder / "stages" / "pretrain"):
        assert list((folder / "train").glob("*tfevents*"))


def test_towers_learn_by_a_loss_of_the_whole_batch(tmp_path, monkeypatch):
    known(monkeypatch)
    stages = (StageConfig("align", "pairs", train={"epochs": 1}), StageConfig("fit", train={"epochs": 1}))
    tiny = start(tmp_path, stages=stages, picture=True)
    tiny.fit()
    (align, _) = json.loads((tiny.run.folder / "run.json").read_text())["stages"]
    assert align["best"]["loss"] == pytest.approx(align["best"]["image_loss"] + align["best"]["text_loss"], rel=1e-3)


def test_a_run_without_stages_has_one_in_its_own_folder(tmp_path):
    tiny = start(tmp_path)
    (stage,) = stages_of(tiny.config, tiny.run, tiny.index)
    assert (stage.kind, stage.folder, stage.label) == ("supervised", tiny.run.folder, "")
    assert stage.config == tiny.config


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ((StageConfig("a", "supervized"),), "did you mean 'supervised'"),
        ((StageConfig("a", train={"epoch": 3}),), r"stages\[0\].train.epoch: unknown option; did you mean 'epochs'"),
        ((StageConfig("a", train={"epochs": "x"}),), r"stages\[0\].train.epochs: expected int, got 'x' \(str\)"),
        ((StageConfig("a", options={"share": 1}),), r"stages\[0\].options.share: unknown option"),
        ((StageConfig("a", train={"xla": "on"}),), "applies to the whole run; set train.xla"),
        ((StageConfig("a"), StageConfig("a")), r"stages\[1\].name: expected .* once each, got 'a'"),
        ((StageConfig("a/b"),), r"stages\[0\].name: expected letters, digits, - and _"),
        ((StageConfig("a", "hidden_words"),), "the last stage trains the one that is exported"),
    ],
)
def test_stages_are_checked_before_the_data_is(monkeypatch, stages, said):
    known(monkeypatch)
    with pytest.raises(ConfigError, match=said):
        check_stages(dataclasses.replace(RunConfig(), stages=stages))
