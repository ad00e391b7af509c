"""The whole story on tiny data, in a real process: what it prints, and what it leaves behind under fixed names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import mmkeras
from mmkeras.bundle import Bundle
from mmkeras.training.run import Run
from tests.conftest import REPOSITORY
from tests.tiny import write_tiny_config, write_tiny_table

pytestmark = pytest.mark.tfio

SCHEMAS = Path(mmkeras.__file__).parent / "schemas"


def _pipeline(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.vqa", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    folder = tmp_path_factory.mktemp("story")
    config = write_tiny_config(folder, write_tiny_table(folder))
    config.write_text(config.read_text().replace("deterministic = true", "ema = 0.9"))
    done = _pipeline("--config", str(config), "--train.epochs", "5", "--export.samples", "12")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_it_prints_every_stage_and_ends_with_an_answer(story):
    _, output = story
    places = [output.index(f"{stage} ──") for stage in ("Data", "Model", "Training", "Evaluation", "Export")]
    assert places == sorted(places)
    assert "tensorboard --logdir" in output
    answer = output[output.index("$ mmkeras predict") :]
    assert "label:" in answer
    assert "selftest passed" in answer


def test_latest_points_at_a_complete_run(story):
    folder, _ = story
    latest = folder / "runs" / "tiny" / "latest"
    assert latest.is_symlink()
    run = Run.open(latest)
    assert set(run.specs) == {"image", "text"}
    assert run.provenance["packages"]["keras"]
    assert run.provenance["command"].startswith("python -m pipelines.vqa --config ")
    assert run.provenance["data_fingerprint"] == run.index.fingerprint
    assert run.model().count_params() > 0
    assert (latest / "report.html").stat().st_size > 10_000


def test_metrics_and_export_have_their_documented_form(story):
    folder, _ = story
    metrics = json.loads((folder / "runs/tiny/latest/metrics.json").read_text())
    jsonschema.validate(metrics, json.loads((SCHEMAS / "metrics.schema.json").read_text()))
    assert metrics["test"]["accuracy"].keys() >= {"value", "low", "high"}
    assert metrics["slices"]["asked"].keys() == {"red", "blue"}
    export = json.loads((folder / "saved_models/tiny/1/export.json").read_text())
    jsonschema.validate(export, json.loads((SCHEMAS / "export.schema.json").read_text()))
    assert {(f["format"], f["precision"]) for f in export["files"]} == {
        ("saved_model", "float32"),
        *((f, p) for f in ("tflite", "onnx") for p in ("float32", "float16", "int8-dynamic", "int8")),
    }
    assert all(f["accepted"] for f in export["files"])


def test_the_bundle_says_where_it_comes_from(story):
    folder, _ = story
    provenance = Bundle.open(folder / "saved_models" / "tiny").manifest.provenance
    assert provenance["config"]["train"]["epochs"] == 5
    assert provenance["code_revision"]


def test_tensorboard_shows_scalars_pictures_and_hparams(story):
    folder, _ = story
    train = EventAccumulator(str(folder / "runs/tiny/latest/train"), {"tensors": 0, "images": 0}).Reload()
    validation = EventAccumulator(str(folder / "runs/tiny/latest/validation"), {"tensors": 0, "images": 0}).Reload()
    assert {
        "step/loss",
        "step/learning_rate",
        "step/gradient_norm",
        "speed/samples_per_second",
        "speed/input_wait_share",
        "epoch/loss",
    } <= set(train.Tags()["tensors"])
    assert {"epoch/accuracy", "confusion", "samples", "attention_1"} <= set(validation.Tags()["tensors"])
    assert "_hparams_/session_start_info" in train.Tags()["tensors"]


def test_a_second_run_converts_nothing(story):
    folder, _ = story
    (data,) = (path for path in (folder / "data").iterdir() if path.is_dir())
    before = {path: path.stat().st_mtime_ns for path in data.iterdir()}
    done = _pipeline("--config", str(folder / "tiny.toml"), "--train.epochs", "1", "--skip_export", "--name", "again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Converting" not in done.stdout
    assert {path: path.stat().st_mtime_ns for path in data.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--train.epoch", "3"), "did you mean 'train.epochs'?"),
        (("--config", "nowhere.toml"), "nowhere.toml: cannot be read"),
        (("--model.fusion.name", "crossattention"), "did you mean 'cross_attention'?"),
        (("--model.task.name", "clasification"), "did you mean 'classification'?"),
        (("--data.source.name", "tabel"), "did you mean 'table'?"),
        (("--record",), "vqa.accuracy, daquar.accuracy, vqa_rad.closed are measured on the whole of a public set"),
        (("--train.batch_size", "1000"), "train.batch_size: 1000 samples in a step, but the training split has 48"),
    ],
)
def test_mistakes_are_answered_in_one_line_without_a_traceback(story, arguments, message):
    folder, _ = story
    done = _pipeline("--config", str(folder / "tiny.toml"), *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
