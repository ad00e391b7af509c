from __future__ import annotations

import os

import keras
import numpy as np
import pytest

from mmkeras.errors import TrainingError
from mmkeras.files import claim
from mmkeras.model import build_model
from mmkeras.training.run import Run, claim_run, new_run_folder, release_runs
from tests.tiny import tiny_inputs, tiny_model_config


def test_two_runs_in_one_second_get_folders_of_their_own(tmp_path):
    assert len({new_run_folder(tmp_path, "a") for _ in range(3)}) == 3


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


def test_two_processes_never_share_a_run(tmp_path):
    folder = new_run_folder(tmp_path, "a")
    claim_run(folder)
    release_runs()
    descriptor = claim(folder)
    with pytest.raises(TrainingError, match="another process is at work in this run"):
        claim_run(folder)
    os.close(descriptor)
    (folder / ".best.tmp.keras").write_text("half")
    (folder / "checkpoints" / ".step-00000001.tmp").mkdir(parents=True)
    claim_run(folder)
    assert sorted(path.name for path in folder.rglob("*")) == ["checkpoints"]
    release_runs()


def test_a_start_that_was_killed_is_removed_and_runs_are_not(tmp_path):
    first = new_run_folder(tmp_path, "a")
    (first / "config.toml").write_text("")
    (tmp_path / "a" / "mine").mkdir()
    assert new_run_folder(tmp_path, "a") != first
    assert first.is_dir()  # this process holds it
    release_runs()
    whole = tmp_path / "a" / "20200101-000000"
    whole.mkdir()
    (whole / "run.json").write_text("{}")
    new_run_folder(tmp_path, "a")
    assert not (first / "config.toml").exists()
    assert whole.is_dir()
    assert (tmp_path / "a" / "mine").is_dir()
    release_runs()
