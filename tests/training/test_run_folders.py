from __future__ import annotations

import os

import pytest

from mmkeras.core.errors import TrainingError
from mmkeras.storage.files import claim
from mmkeras.training.run_folders import claim_run, new_run_folder, release_runs


def test_two_runs_in_one_second_get_folders_of_their_own(tmp_path):
    assert len({new_run_folder(tmp_path, "a") for _ in range(3)}) == 3


def test_two_processes_never_share_a_run(tmp_path):
    folder = new_run_folder(tmp_path, "a")
    claim_run(folder)
    release_runs()
    descriptor = claim(folder)
    with pytest.raises(TrainingError, match="another process or thread uses this run"):
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
