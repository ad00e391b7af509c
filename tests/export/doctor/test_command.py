"""``python -m export doctor`` on everything that it takes, and its answers to what it does not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import keras
import numpy as np
import pytest
from keras import layers

import mmkeras
from export.__main__ import main
from export.doctor.subject import Subject, open_subject
from export.doctor.untrained import model_of_run
from export.verification.report import Report
from mmkeras.core.command_line import to_toml
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig, RunConfig
from mmkeras.core.errors import ExportError
from mmkeras.core.modalities import modality_configs
from mmkeras.data.convert import convert
from mmkeras.model import build_model, modality_specs, task_config, task_spec
from mmkeras.training.run import Run
from tests.conftest import REPOSITORY
from tests.tiny import tiny_drive_config, tiny_model_config, write_tiny_table

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "doctor.schema.json").read_text("utf-8"))
SMALL = (
    *("--model.width", "16", "--model.image.width_factor", "0.25", "--model.image.depth_factor", "0.3"),
    *("--model.text.hidden", "16", "--model.text.intermediate", "32", "--model.text.layers", "1"),
    *("--model.image.size", "[32, 32]"),
)


def doctor(*arguments: Any) -> int:
    return main(["doctor", *map(str, arguments)])


def written(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    jsonschema.validate(value, SCHEMA)
    return value


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was started and never finished an epoch, moved away from where it was started."""
    place = tmp_path_factory.mktemp("started")
    model = tiny_model_config(place)
    options = {"columns": {"image": "picture", "text": "question"}, "target": "answer", "split": "side"}
    source = Choice("table", {"path": str(write_tiny_table(place, 24)), **options})
    config = RunConfig(name="tiny", data=DataConfig(source=source, folder=str(place / "data"), workers=1), model=model)
    index = convert(config.data, modality_configs(model), task_config(model))
    folder = place / "runs" / "tiny" / "1"
    folder.mkdir(parents=True)
    Run.create(folder, config, modality_specs(model), task_spec(model), index, {})
    moved = tmp_path_factory.mktemp("moved") / "1"
    shutil.copytree(folder, moved)
    shutil.rmtree(place)
    return moved


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a dict of inputs whose ids are int64."""
    ids = keras.Input((8,), dtype="int64", name="ids")
    table = layers.Embedding(10, 4, name="table")(ids)
    model = keras.Model(ids, [layers.Dense(3, name="first")(table), layers.Dense(2, name="second")(table)])
    path = tmp_path_factory.mktemp("models") / "plain.keras"
    model.save(path)
    return path


def test_a_pipeline_is_examined_without_a_run_and_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctor("vqa", "--target", "onnx", "tensorrt", *SMALL, "--out", "deep/doctor.json") == 0
    printed = capsys.readouterr().out
    for text in ("onnx: clean", "tensorrt: clean", "fusion", "head", "the weights are random", "labels: made up"):
        assert text in printed
    value = written(tmp_path / "deep" / "doctor.json")
    assert (value["model"], value["trained"], value["errors"]) == ("vqa", False, 0)
    assert [target["target"] for target in value["targets"]] == ["onnx", "tensorrt"]
    rows = {row["layer"]: row for row in value["targets"][0]["layers"]}
    assert {row["part"] for row in rows.values()} == {"image", "text", "fusion", "head"}
    assert rows["head_logits"]["kind"] == "Dense"
    assert {each["operator"] for each in rows["head_logits"]["operators"]} >= {"MatMul"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"], "nothing else is left behind"


def names(subject: Subject) -> set[str]:
    return {layer.name for layer in subject.model._flatten_layers()}


def test_the_configuration_of_a_pipeline_counts(tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text('[model.fusion]\nname = "channels"\n[model.fusion.options]\n[model.radar]\nform = "channels"\n')
    options = ("--model.width", "16", "--config", str(config))
    subject = open_subject("pipelines.camera_radar", options, (), tmp_path)
    assert {"camera_branch", "head_heatmap"} <= names(subject)
    assert not any(name.startswith("fusion_cross") for name in names(subject)), "the default's fusion is another one"


def test_a_run_without_a_model_is_built_from_its_folder_and_one_with_a_model_is_loaded(
    run: Path, tmp_path: Path
) -> None:
    untrained = open_subject(str(run), (), (), tmp_path)
    assert not untrained.trained
    assert "has not finished an epoch" in untrained.notes[0]
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    model = build_model(tiny_model_config(tmp_path))
    model.save(folder / "best.keras")
    trained = open_subject(str(folder), (), (), tmp_path)
    assert trained.trained
    assert not trained.notes
    assert [tensor.shape for tensor in untrained.model.inputs] == [tensor.shape for tensor in trained.model.inputs]
    assert [weight.shape for weight in untrained.model.weights] == [weight.shape for weight in trained.model.weights]
    assert np.array_equal(trained.model.weights[-1].numpy(), model.weights[-1].numpy())


def test_a_run_made_without_a_modality(tmp_path: Path) -> None:
    config = tiny_drive_config(without=("radar",))
    (tmp_path / "config.toml").write_text(to_toml(RunConfig(model=config)), "utf-8")
    model = model_of_run(Run(tmp_path, modality_specs(config), task_spec(config), {}), tmp_path)
    assert [tensor.name for tensor in model.inputs] == ["camera", "camera_present"]


def test_a_run_of_a_radar_alone_keeps_the_camera_that_it_took_from_the_picture(tmp_path: Path) -> None:
    config = tiny_drive_config(without=("camera",), fusion={"grid": [4, 8]})
    camera = replace(config.camera, focal=50.0, centre=(32.0, 12.0))
    task = Choice("detection", {"channels": 8, "max_objects": 4})
    config = replace(config, camera=camera, radar=replace(config.radar, camera=(), grid=()), task=task)
    (tmp_path / "config.toml").write_text(to_toml(RunConfig(model=config)), "utf-8")
    model = model_of_run(Run(tmp_path, modality_specs(config), task_spec(config), {}), tmp_path)
    assert {tensor.name for tensor in model.inputs} == {"radar_points", "radar_mask", "radar_present"}


def test_a_bundle_is_examined_with_its_own_model(report: Report, tmp_path: Path) -> None:
    for path in (report.folder, report.folder.parent):
        assert open_subject(str(path), (), (), tmp_path).trained
    shutil.copytree(report.folder, tmp_path / "bundle", ignore=shutil.ignore_patterns("model.keras"))
    with pytest.raises(ExportError, match=r"holds no model\.keras"):
        open_subject(str(tmp_path / "bundle"), (), (), tmp_path)


def test_warnings_count_with_strict_and_versions_can_be_chosen(
    keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "doctor.json"
    assert doctor(keras_file, "--target", "tensorrt", "--out", out) == 0
    value = written(out)
    assert (value["errors"], value["warnings"]) == (0, 1)
    finding = value["targets"][0]["findings"][0]
    assert (finding["verdict"], finding["layers"], finding["versions"]) == ("int64 trouble", ["ids"], ["8.6"])
    assert {row["part"] for row in value["targets"][0]["layers"]} == {"model"}
    assert "int64 trouble (8.6)" in capsys.readouterr().out
    assert doctor(keras_file, "--target", "tensorrt", "--strict") == 1
    assert doctor(keras_file, "--target", "tensorrt", "--strict", "--tensorrt", "10") == 0


def test_trouble_makes_the_exit_status_1_and_stands_in_a_second_report_too(tmp_path: Path) -> None:
    x = keras.Input((4, 4), name="x")
    keras.Model(x, layers.Dense(2)(keras.ops.det(x)[:, None])).save(tmp_path / "bad.keras")
    out = tmp_path / "doctor.json"
    out.write_text("not JSON")
    for _ in range(2):
        assert doctor(tmp_path / "bad.keras", "--target", "tensorrt", "--out", out) == 1
        assert written(out)["errors"] == 1


LAYER = """
import keras

@keras.saving.register_keras_serializable("mine")
class Twice(keras.layers.Layer):
    def call(self, x):
        return x + x
"""


def test_layers_of_a_users_own_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_layers.py").write_text(LAYER)
    monkeypatch.syspath_prepend(tmp_path)
    import importlib

    module = importlib.import_module("my_layers")
    x = keras.Input((4,), name="x")
    keras.Model(x, module.Twice(name="twice")(x)).save(tmp_path / "own.keras")
    # As in a process that has not imported it; the layers of mmkeras stay registered.
    del keras.saving.get_custom_objects()["mine>Twice"]
    sys.modules.pop("my_layers")
    assert doctor(tmp_path / "own.keras", "--target", "onnx") == 2
    assert "--import MODULE" in capsys.readouterr().err
    assert doctor(tmp_path / "own.keras", "--target", "onnx", "--import", "my_layers") == 0


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["vqaa"], "did you mean 'vqa'"),
        (["nothing/here"], "expected a run such as"),
        (["FOLDER"], "a folder without run.json"),
        (["gone.keras"], "There is no file"),
        (["vqa", "--target", "onx"], "did you mean 'onnx'"),
        (["vqa", "--tensorrt", "9"], "'9' is unknown"),
        (["vqa", "--target", "onnx", "--out", "FOLDER"], "is a folder"),
        (["vqa", "--model.widht", "3"], "did you mean 'model.width'"),
        (["vqa", "--config", "gone.toml"], "gone.toml: cannot be read"),
        (["--target", "onnx", "vqa"], "expected RUN first"),
        (["RUN", "--model.width", "32"], "with its own configuration"),
        (["RUN", "--import", "no_such_module"], "--import no_such_module"),
        (["CUT"], "config.toml: is not valid TOML"),
        (["EMPTY"], "expected a table [model]"),
        (["BAD"], "model.image.size: expected"),
        (["SHORT.keras"], "cannot be loaded"),
        (["SHORT"], "best.keras cannot be loaded"),
        (["vqa", "--model.image.level", "9"], "level"),
        (["vqa", "another"], "another"),
        (["LOW.keras"], "Expected a float32 model"),
        (["SEQUENCE.keras"], "Expected a functional model"),
        (["TEXT.keras"], "tokenize on the host"),
    ],
)
def test_what_cannot_be_examined_is_answered_with_status_2(
    arguments: list[str], answer: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [_place(word, run, tmp_path) for word in arguments]
    assert doctor(*given) == 2
    told = capsys.readouterr()
    assert answer in told.err
    assert "Traceback" not in told.err


class Sequence(keras.Model):
    def call(self, x: Any) -> Any:
        return x * 2


def _place(word: str, run: Path, folder: Path) -> str:
    """Make what a word of the arguments stands for."""
    if word == "FOLDER":
        return str(folder)
    if word == "RUN":
        return str(run)
    if word == "SHORT":
        shutil.copytree(run, folder / word)
        (folder / word / "best.keras").write_bytes(b"PK")
        return str(folder / word)
    if word in ("CUT", "EMPTY", "BAD"):
        shutil.copytree(run, folder / word)
        content = (run / "config.toml").read_text("utf-8")
        text = {"CUT": content[:-5] + "[", "EMPTY": "", "BAD": content.replace("size = [32, 32]", 'size = "big"')}
        (folder / word / "config.toml").write_text(text[word], "utf-8")
        return str(folder / word)
    if word in ("SHORT.keras", "LOW.keras", "TEXT.keras"):
        x = keras.Input((4,), dtype="string" if word == "TEXT.keras" else "float32", name="x")
        inner = (
            layers.StringLookup(vocabulary=["a"])
            if word == "TEXT.keras"
            else layers.Dense(3, dtype="mixed_bfloat16" if word == "LOW.keras" else "float32")
        )
        keras.Model(x, inner(x)).save(folder / word)
        if word == "SHORT.keras":
            (folder / word).write_bytes((folder / word).read_bytes()[:-300])
        return str(folder / word)
    if word == "SEQUENCE.keras":
        keras.saving.register_keras_serializable("tests")(Sequence)
        model = Sequence()
        model(keras.ops.zeros((1, 3)))
        model.save(folder / word)
        return str(folder / word)
    return word


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
def test_the_program_in_a_process_of_its_own(stopped: bool, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "export", "doctor", "vqa", *SMALL, "--out", "doctor.json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever started the tests in the background ignores it, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    if stopped:
        while process.poll() is None and not list(tmp_path.glob("mmkeras-doctor-*")):
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=300)
    if stopped:
        assert process.returncode == 130, errors[-2000:]
        assert "Interrupted" in errors
        assert "Traceback" not in errors
        assert not list(tmp_path.glob("mmkeras-doctor-*"))
        assert not (tmp_path / "doctor.json").exists()
        return
    assert process.returncode == 0, out[-2000:] + errors[-2000:]
    assert [target["target"] for target in written(tmp_path / "doctor.json")["targets"]] == [
        "tflite",
        "onnx",
        "tensorrt",
    ]
