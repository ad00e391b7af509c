"""``python -m export fine-tune`` on a real run: what it leaves, what it refuses, and how it goes on."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from export.__main__ import main
from export.formats import Job, formats
from export.source import load_source
from mmkeras.core.command_line import read_toml
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig, EvaluateConfig, RunConfig, TrainConfig
from mmkeras.core.modalities import modality_configs
from mmkeras.data.convert import convert
from mmkeras.model import build_model, modality_specs, task_config, task_spec
from mmkeras.training.quantization_aware.configuration import read_config
from mmkeras.training.quantization_aware.fine_tune import open_parent
from mmkeras.training.run import Run
from tests.conftest import REPOSITORY
from tests.tiny import tiny_model_config, write_tiny_table

PARENT = "runs/tiny/first"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with converted data and a run with a model, as a pipeline leaves them."""
    folder = tmp_path_factory.mktemp("place")
    write_tiny_table(folder)
    here = Path.cwd()
    os.chdir(folder)
    try:
        model = tiny_model_config(folder, task=Choice("classification", {"labels": ["no", "red", "yes"]}))
        columns = {"image": "picture", "text": "question"}
        source = Choice("table", {"path": "table.csv", "columns": columns, "target": "answer", "split": "side"})
        config = RunConfig(
            name="tiny",
            data=DataConfig(source=source, folder="data", workers=1),
            model=model,
            train=TrainConfig(batch_size=8, learning_rate=1e-2, deterministic=True, ema=0.9),
            evaluate=EvaluateConfig(bootstrap=20, pictures=1),
        )
        index = convert(config.data, modality_configs(model), task_config(model))
        run = Path(PARENT)
        run.mkdir(parents=True)
        Run.create(run, config, modality_specs(model), task_spec(model), index, {})
        keras.utils.set_random_seed(0)
        build_model(model).save(run / "best.keras")
        (run / "metrics.json").write_text(json.dumps({"test": {}, "provenance": {"notice": "Made up."}}))
    finally:
        os.chdir(here)
    return folder


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_run_is_tuned_into_a_run_of_its_own_that_every_exporter_takes(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(place)
    before = hashes(Path(PARENT))
    latest = Path("runs/tiny/latest").resolve()
    options = ["--steps", "8", "--rounds", "2", "--samples", "16", "--calibration-samples", "16", "--keep", "head_*"]
    assert main(["fine-tune", PARENT, *options]) in (0, 1)
    printed = capsys.readouterr().out
    tuned = Path(f"{PARENT}-int8")
    assert str(tuned) in printed
    assert "29 layers are trained on the int8 grid of tflite" in printed
    assert "Next: python -m export" in printed
    assert hashes(Path(PARENT)) == before
    assert Path("runs/tiny/latest").resolve() == latest

    report = json.loads((tuned / "fine_tuning.json").read_text("utf-8"))
    # An embedding, too, which does not learn the grid.
    assert report["int8_layers"] == 30
    assert report["samples"] == 16
    assert set(report["before"]["int8"]) == set(report["after"]["float32"]) >= {"all", "without_image", "without_text"}
    assert report["int8_gain"] == pytest.approx(report["after"]["int8"]["all"] - report["before"]["int8"]["all"])
    run = Run.open(tuned)
    assert run.provenance["name"] == "tiny"
    assert run.provenance["fine_tuning"]["parent"] == "../first"
    assert run.provenance["fine_tuning"]["keep"] == ["head_*"]
    assert read_toml(tuned / "config.toml")["train"]["learning_rate"] == pytest.approx(1e-3)
    assert json.loads((tuned / "metrics.json").read_text("utf-8"))["provenance"]["notice"] == "Made up."

    old, new = Run.open(Path(PARENT)).model(), run.model()
    assert [layer.name for layer in old.layers] == [layer.name for layer in new.layers]
    assert [w.shape for w in old.weights] == [w.shape for w in new.weights]
    assert any(not np.array_equal(a, b) for a, b in zip(old.get_weights(), new.get_weights(), strict=True))
    job = Job(load_source(tuned, 4), tmp_path)
    for format in formats().values():
        format.convert(job, "float32", tmp_path / f"float32{format.suffix}")

    # A second one does not touch the first, and has a folder of its own.
    first = hashes(tuned)
    with pytest.raises(SystemExit):
        main(["fine-tune", PARENT, "--steps", "many"])
    capsys.readouterr()
    assert main(["fine-tune", PARENT, "--out", str(tuned)]) == 2
    assert f"--resume {tuned}" in capsys.readouterr().err
    assert hashes(tuned) == first
    monkeypatch.chdir(tmp_path)
    assert open_parent(Run.open(place / tuned)).folder == (place / PARENT).resolve()
    assert read_config(Run.open(place / tuned)).data.source.options["path"] == str(place / "table.csv")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "nowhere: is not a complete run"),
        (["."], "is not a complete run"),
        ([PARENT, "--resume"], "is not a fine-tuned run"),
        ([PARENT, "--resume", "--steps", "5", "--keep", "a"], "cannot be combined with --steps, --keep"),
        ([PARENT, "--resume", "--out", "x"], "cannot be combined with --out"),
        ([PARENT, "--format", "tflight"], "'tflight' has no int8 grid; did you mean 'tflite'?"),
        ([PARENT, "--steps", "2", "--rounds", "3"], "at least one for each of the 3 rounds, got 2"),
        ([PARENT, "--rounds", "0"], "rounds: expected at least 1, got 0"),
        ([PARENT, "--learning-rate", "-1"], "learning_rate: expected more than 0"),
        ([PARENT, "--keep", "head_logit"], "no layer with a kernel fits 'head_logit'; did you mean 'head_logits'?"),
        ([PARENT, "--keep", "*"], "all kept in float"),
        ([PARENT, "--samples", "0"], "--samples: expected at least 1, got 0"),
        ([PARENT, "--calibration-samples", "0"], "--calibration-samples: expected at least 1"),
        ([PARENT, "--out", "table.csv"], "table.csv: is not empty"),
    ],
)
def test_mistakes_are_answered_in_one_message_and_leave_nothing(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(place)
    before = sorted(Path("runs/tiny").iterdir())
    assert main(["fine-tune", *arguments]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert expected in error
    assert "Traceback" not in error
    assert sorted(Path("runs/tiny").iterdir()) == before


@pytest.mark.slow
def test_a_stopped_fine_tuning_goes_on_to_the_same_weights(place: Path) -> None:
    options = ["--steps", "60", "--rounds", "2", "--samples", "8", "--calibration-samples", "8"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}

    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "export", "fine-tune", *arguments]

    whole = subprocess.run(
        command(PARENT, "--out", "whole", *options), cwd=place, env=environment, capture_output=True, text=True
    )
    assert whole.returncode in (0, 1), whole.stdout + whole.stderr
    with subprocess.Popen(
        command(PARENT, "--out", "broken", *options),
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        deadline = time.monotonic() + 300
        while not list((place / "broken").glob("checkpoints/step-*")):
            assert process.poll() is None, process.communicate()[0].decode()
            assert time.monotonic() < deadline, "no checkpoint in five minutes"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        text = " ".join(process.communicate(timeout=300)[0].decode().split())
    assert process.returncode == 130, text
    assert "Go on with: python -m export fine-tune broken --resume" in text
    done = subprocess.run(command("broken", "--resume"), cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    models = [keras.models.load_model(place / name / "best.keras", compile=False) for name in ("whole", "broken")]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
