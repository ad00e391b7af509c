"""A run is found, with its data and whatever its configuration names, from any folder and after a move."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmkeras.core.command_line import parse
from mmkeras.core.errors import DataError
from mmkeras.training.moved import Moved, find_data, placed
from mmkeras.training.run import Run
from pipelines.vqa import VqaConfig
from tests.training.tiny_run import start


def test_paths_lead_to_what_moved_along_or_stayed(tmp_path):
    then, now = tmp_path / "old" / "runs" / "vqa" / "1", tmp_path / "new" / "runs" / "vqa" / "1"
    moved = Moved(tmp_path / "old", then, now)
    for path in ("new/t.csv", "old/stayed.csv", "elsewhere/t.csv"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    assert moved.place("t.csv") == str(tmp_path / "new" / "t.csv")
    assert moved.place("stayed.csv") == str(tmp_path / "old" / "stayed.csv")
    assert moved.place(str(tmp_path / "elsewhere" / "t.csv")) == str(tmp_path / "elsewhere" / "t.csv")
    assert moved.place("gone.csv") == str(tmp_path / "old" / "gone.csv")
    assert (moved.place("bert_tiny_en"), moved.place("imagenet"), moved.place("")) == ("bert_tiny_en", "imagenet", "")
    assert moved.place("saved_models", written=True) == str(tmp_path / "new" / "saved_models")
    alone = Moved(tmp_path / "old", then, tmp_path / "best")
    assert alone.place("saved_models", written=True) == str(tmp_path / "old" / "saved_models")
    assert alone.place("runs/vqa/1/vocabulary.txt", written=True) == str(tmp_path / "best" / "vocabulary.txt")
    assert alone.starts == tmp_path / "old"


def test_a_run_that_has_not_moved_keeps_its_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Moved(tmp_path, tmp_path / "runs", tmp_path / "runs").place("t.csv") == "t.csv"


def test_a_run_without_place_json_was_started_above_its_runs(tmp_path):
    folder = tmp_path / "project" / "runs" / "vqa" / "1"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('name = "vqa"\nruns = "runs"\n')
    assert Moved.of(folder).started_in == tmp_path / "project"


def test_run_data_and_vocabulary_are_found_from_another_folder_and_after_moves(tmp_path, monkeypatch):
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    started = start(Path())
    fingerprint = started.index.fingerprint
    assert json.loads(Path("run/run.json").read_text())["data_folder"] == f"../data/{started.index.folder.name}"
    assert started.config.data.source.options["path"] == "table.csv"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def check(folder: Path, table: Path) -> None:
        assert Run.open(folder).index.fingerprint == fingerprint
        source = ["--config", str(folder / "config.toml")]
        config = placed(parse(VqaConfig, source, program="t", description="")[0], folder)
        assert config.data.source.options["path"] == str(table)
        assert config.model.text.spec("text") == started.run.specs["text"]
        assert (Path(config.data.folder), Path(config.export.folder)) == (table.parent / "data", config_of(table))

    def config_of(table: Path) -> Path:
        return table.parent / "saved_models"

    check(project / "run", project / "table.csv")
    whole = project.rename(tmp_path / "moved")
    check(whole / "run", whole / "table.csv")
    # Now the run alone: the data is where it was.
    shutil.move(whole / "run", elsewhere / "best")
    whole.rename(project)
    check(elsewhere / "best", project / "table.csv")
    shutil.rmtree(project / "data")
    run = Run.open(elsewhere / "best")
    with pytest.raises(DataError, match=r"trained on is missing.*write its folder into data_folder"):
        find_data(run.folder, run.provenance)
