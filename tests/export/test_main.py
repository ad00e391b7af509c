"""``python -m export`` on a real run folder and on the bundle it made."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import onnx
import pytest

import export.to_onnx.onnx_from_keras
from export.__main__ import main
from export.formats import Job
from export.source import Source, load_source
from mmkeras.bundle import Bundle
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig, RunConfig
from mmkeras.core.errors import DataError, ExportError
from mmkeras.core.modalities import modality_configs
from mmkeras.data.convert import convert
from mmkeras.model import modality_specs, task_config, task_spec
from mmkeras.training.run import Run
from tests.conftest import REPOSITORY
from tests.export.conftest import put_in_place
from tests.tiny import tiny_model_config


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Path:
    """A folder with converted data and a finished run, as a pipeline leaves them."""
    place = tmp_path_factory.mktemp("workplace")
    rows = []
    for index, sample in enumerate(source.samples):
        if None in sample.values.values():
            continue
        (place / f"{index}.png").write_bytes(sample.values["image"])
        label = source.task.labels[int(sample.target)]  # type: ignore[attr-defined]
        split = "test" if index % 2 else "train"
        rows.append([f"{index}.png", sample.values["text"], label, split])
    with (place / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "question", "label", "split"], *rows])
    here = Path.cwd()
    os.chdir(place)
    try:
        model = tiny_model_config(place)
        table = Choice(
            "table",
            {
                "path": "table.csv",
                "columns": {"image": "file", "text": "question"},
                "target": "label",
                "split": "split",
            },
        )
        config = RunConfig(name="tiny", data=DataConfig(source=table, folder="data", workers=1), model=model)
        index_ = convert(config.data, modality_configs(model), task_config(model))
        folder = place / "runs" / "tiny" / "1"
        folder.mkdir(parents=True)
        Run.create(folder, config, modality_specs(model), task_spec(model), index_, {})
        source.model.save(folder / "best.keras")
        metrics = {"test": {"accuracy": {"value": 1.0}}, "provenance": {"notice": "Made up."}}
        (folder / "metrics.json").write_text(json.dumps(metrics))
    finally:
        os.chdir(here)
    return place


def test_a_run_is_exported_and_its_bundle_again(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    options = ["--formats", "onnx", "--precisions", "float32", "--samples", "10"]
    assert main(["runs/tiny/latest", *options]) == 0
    printed = capsys.readouterr().out
    assert "mmkeras selftest saved_models/tiny/1" in printed
    assert "10 test samples" in printed
    first = Bundle.open(Path("saved_models/tiny/1"))
    provenance = first.manifest.provenance
    assert {"config", "data_fingerprint", "data_folder", "code_revision", "packages"} <= provenance.keys()
    assert provenance["metrics"] == {"accuracy": {"value": 1.0}}
    assert provenance["notice"] == "Made up."
    assert provenance["data_samples"]["test"] >= 10
    assert not Path(provenance["data_folder"]).is_absolute()
    assert main(["saved_models/tiny", *options]) == 0
    second = Bundle.open(Path("saved_models/tiny"))
    assert second.manifest.version == 2
    assert second.manifest.provenance == provenance
    for bundle in (first, second):
        assert json.loads((bundle.folder / "metrics.json").read_text())["provenance"]["notice"] == "Made up."
        assert "> **Made up.**" in (bundle.folder / "MODEL_CARD.md").read_text()
    assert second.files[0].path == first.files[0].path
    content = json.loads(Path("saved_models/tiny/2/export.json").read_text("utf-8"))
    assert content["files"][0]["samples"] == 10


def test_samples_are_spread_over_the_test_split(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    every = [sample.key for sample in load_source(Path("runs/tiny/1"), 1000).samples]
    few = [sample.key for sample in load_source(Path("runs/tiny/1"), 5).samples]
    assert len(every) == len(set(every)) > 15
    assert len(few) == 5
    assert [key for key in every if key in few] == few != every[:5]


def test_a_rejected_file_makes_the_exit_status_1(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], report: object
) -> None:
    monkeypatch.chdir(workplace)
    good = report.folder / "edge" / "tiny.float32.onnx"  # type: ignore[attr-defined]

    def other_weights(job: Job, precision: str, path: Path) -> None:
        proto = onnx.load(good)
        for weight in proto.graph.initializer:
            if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) == 2:
                array = onnx.numpy_helper.to_array(weight)
                weight.CopyFrom(onnx.numpy_helper.from_array(-array, weight.name))
        onnx.save(proto, path)

    put_in_place(monkeypatch, export.to_onnx.onnx_from_keras, other_weights)
    options = ["--formats", "onnx", "--precisions", "float32", "--out", "elsewhere"]
    assert main(["runs/tiny/1", *options]) == 1
    printed = capsys.readouterr().out
    assert "REJECTED" in printed
    assert "mmkeras selftest" not in printed
    assert Path("elsewhere/tiny/1/rejected/tiny.float32.onnx").is_file()


def test_what_cannot_be_exported_is_answered_with_status_2(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workplace)
    assert main(["runs/tiny/9"]) == 2
    assert "expected a run such as" in capsys.readouterr().err
    assert main(["runs/tiny/1", "--formats", "tflit"]) == 2
    assert "did you mean 'tflite'" in capsys.readouterr().err
    with pytest.raises(ExportError, match="a folder without either"):
        load_source(tmp_path, 1)


def test_a_run_and_a_bundle_are_found_from_another_folder_and_after_a_move(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    if not Path("saved_models").exists():
        main(["runs/tiny/1", "--formats", "onnx", "--precisions", "float32", "--samples", "2"])
    monkeypatch.chdir(tmp_path)
    shutil.copytree(workplace, tmp_path / "moved", symlinks=True)
    for place in (workplace, tmp_path / "moved"):
        for source in (load_source(place / "runs/tiny/latest", 1), load_source(place / "saved_models/tiny", 1)):
            assert source.index is not None
            assert source.index.folder.resolve().parent == (place / "data").resolve()


def test_a_bundle_whose_data_is_gone_says_so(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    if not Path("saved_models").exists():
        main(["runs/tiny/1", "--formats", "onnx", "--precisions", "float32", "--samples", "2"])
    shutil.copytree("saved_models/tiny/1", tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="is missing"):
        load_source(tmp_path / "bundle", 1)


@pytest.mark.slow
def test_the_program_in_a_process_of_its_own(workplace: Path) -> None:
    keras.backend.clear_session()
    process = subprocess.run(
        [sys.executable, "-m", "export", "runs/tiny/1", "--samples", "10"],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    for word in ("saved_model", "tflite", "onnx", "int8", "accepted"):
        assert word in process.stdout
