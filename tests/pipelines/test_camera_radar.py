"""The camera and radar story on tiny simulated drives, in a real process, and its variants."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.bundle import Bundle
from mmkeras.core.command_line import parse
from mmkeras.core.components import Choice
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.core.modalities import modality_configs
from mmkeras.data.convert import convert
from mmkeras.data.sources.nuscenes import Source
from mmkeras.evaluation.predict import Variant, predict
from mmkeras.evaluation.samples import read
from mmkeras.model import build_model, modality_specs, specs_before_data, task_config, task_spec
from mmkeras.training.fit import fit
from mmkeras.training.run import Run
from pipelines.camera_radar import CameraRadarConfig, CameraRadarStory
from tests.conftest import REPOSITORY

DEFAULTS = REPOSITORY / "pipelines" / "configs" / "camera_radar.toml"
SCHEMAS = Path(mmkeras.__file__).parent / "schemas"

TINY = """
name = "tiny"
runs = "{folder}/runs"
[data]
folder = "{folder}/data"
workers = 1
[simulate]
train_scenes = 3
validation_scenes = 1
test_scenes = 2
replay_scenes = 0
scene_seconds = 2.0
key_rate = 2.0
width = 128
height = 72
night = 0.5
workers = 1
[compare]
variants = ["cross_attention", "radar_as_channels", "camera_only"]
[model]
width = 16
[model.fusion.options]
heads = 2
[model.task.options]
channels = 8
max_objects = 8
[model.camera]
size = [32, 64]
focal = 50.0
centre = [32.0, 12.0]
width_factor = 0.25
depth_factor = 0.3
[model.radar]
max_points = 16
heads = 2
[train]
epochs = 1
batch_size = 4
learning_rate = 3e-3
[evaluate]
batch_size = 8
bootstrap = 20
pictures = 2
[export]
folder = "{folder}/saved_models"
samples = 8
formats = ["tflite", "onnx"]
precisions = ["float32"]
"""


def _pipeline(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.camera_radar", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    fewer = TINY.replace("train_scenes = 3", "train_scenes = 2").replace("test_scenes = 2", "test_scenes = 1")
    # Most of a short training is the optimizer's graph, which grows with the number of trained variables.
    fewer = fewer.replace("[model.camera]", "[model.camera]\nfrozen_stages = -1")
    path.write_text(fewer.format(folder=tmp_path))
    return path


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO())


def test_from_simulated_drives_to_answers(config: Path, console: Console):
    """The story's own parts, one after the other: drives, records, a step of training, boxes."""
    told, _ = parse(CameraRadarConfig, ["--config", str(config)], program="t", description="", defaults=DEFAULTS)
    told = CameraRadarStory().prepare(told, console)
    assert told == CameraRadarStory().prepare(told, console)
    index = convert(told.data, specs_before_data(told.model), task_config(told.model), console)
    assert {split: index.samples(split) for split in ("train", "validation", "test")} == {
        "train": 8,
        "validation": 4,
        "test": 4,
    }
    specs, task = modality_specs(told.model), task_spec(told.model)
    run = Run.create(config.parent, told, specs, task, index, {"jit_compile": False, "precision": "float32"})
    fit(build_model(told.model), run, told, index, console=console)
    samples = read(index, "test", run.specs, run.task)
    outputs = predict(run.model(), samples, run.specs, batch_size=4, variant=Variant())
    assert {name: value.shape for name, value in outputs.items()} == {
        tensor.name: (4, *tensor.shape) for tensor in run.task.outputs
    }
    assert np.isfinite(run.task.score(samples.targets, outputs)["mAP"])
    assert len(run.task.decode(outputs)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--compare.variants", '["radar_onyl"]'), "did you mean 'radar_only'?"),
        (("--inspect",), "--inspect needs the directory of a drive"),
        (("--inspect", "nowhere"), "nowhere"),
        (("--simulate.night", "2"), "SimulationConfig.night: expected a share from 0 to 1, got 2"),
    ],
)
def test_mistakes_are_answered_in_one_line_without_a_traceback(config: Path, arguments: tuple[str, ...], message: str):
    done = _pipeline("--config", str(config), *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


# === Configuration ===


def _parsed(*arguments: str) -> CameraRadarConfig:
    return parse(CameraRadarConfig, list(arguments), program="t", description="", defaults=DEFAULTS)[0]


def test_every_part_takes_the_camera_and_the_sweeps_from_the_modalities():
    camera = (128.0, 64.0, 90.0, 64.0, 20.0)
    model = _parsed(
        *("--model.camera.size", "64", "128", "--model.camera.focal", "90", "--model.camera.centre", "64", "20"),
        *("--model.radar.sweeps", "5"),
    ).model
    for without in ((), ("camera",)):
        specs: dict[str, Any] = modality_specs(replace(model, without=without))
        task: Any = task_spec(replace(model, without=without))
        assert specs["radar"].camera == camera
        assert specs["radar"].grid == (8, 16)
        assert task.camera == camera
        source = Source("drives").derived(specs)
        assert (source.model_camera, source.sweeps) == (camera, 5)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("camera", (9.0, 9.0, 9.0, 9.0, 9.0), r"model\.radar\.camera: expected \(192\.0, 64\.0, 215\.0, .*focal and"),
        ("sweeps", 5, r"data\.source\.options\.sweeps: expected 5, .* got 3\. .* set model\.radar\.sweeps = 3"),
    ],
)
def test_two_parts_that_differ_are_named(key: str, value: Any, expected: str):
    model = _parsed().model
    with pytest.raises(ConfigError, match=expected):
        Source("drives", sweeps=3).derived(modality_specs(replace(model, radar=replace(model.radar, **{key: value}))))


def test_the_view_of_earlier_versions_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "old.toml"
    path.write_text("[view]\nsize = [32, 64]\nfocal = 50.0\n")
    with pytest.raises(ConfigError) as error:
        _parsed("--config", str(path), "--view.centre", "1", "2")
    for key in ("size", "focal", "centre"):
        assert f"view.{key}: is now " in str(error.value)
        assert f"model.camera.{key}" in str(error.value)


def test_variants_differ_in_what_they_compare_alone():
    config = _parsed()
    fusion = Choice("spatial_attention", {"query": "camera", "heads": 4})
    config = replace(config, model=replace(config.model, fusion=fusion))
    variants = {name: config.variant(name) for name in config.compare.variants}
    assert variants["cross_attention"] == config.model
    assert set(modality_configs(variants["camera_only"])) == {"camera"}
    assert set(modality_configs(variants["radar_only"])) == {"radar"}
    assert variants["radar_only"].fusion.options == {"heads": 4, "grid": [8, 24]}
    assert variants["radar_as_channels"].radar.form == "channels"
    assert variants["radar_as_channels"].fusion == Choice("channels")
    for model in variants.values():
        assert (model.width, model.task, model.camera) == (config.model.width, config.model.task, config.model.camera)
    with pytest.raises(ConfigError, match=r"compare\.variants: 'camera' is unknown; did you mean 'camera_only'"):
        config.variant("camera")


@pytest.mark.parametrize(
    ("folder", "simulated"), [("", True), (".cache/data/simulated-0123", True), ("drives/v1.0-mini", False)]
)
def test_reports_on_simulated_drives_say_so(folder: str, simulated: bool):
    config = CameraRadarConfig()
    source = Choice("nuscenes", {"folder": folder} if folder else {})
    config = replace(config, data=replace(config.data, source=source))
    assert config.simulated == simulated
    assert bool(CameraRadarStory().provenance(config)) == simulated


# === The whole story ===


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("story")
    (folder / "tiny.toml").write_text(TINY.format(folder=folder))
    done = _pipeline("--config", str(folder / "tiny.toml"))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_it_simulates_and_ends_with_an_answer(story: tuple[Path, str]):
    folder, output = story
    stages = ("Data", "Model", "Training", "Evaluation", "Degradation", "Comparison", "Export")
    places = [output.index(f"{stage} ──") for stage in stages]
    assert places == sorted(places)
    (drives,) = (path for path in (folder / "data").iterdir() if path.name.startswith("simulated-"))
    assert (drives / "v1.0-sim" / "sample.json").is_file()
    answer = output[output.index("$ mmkeras predict") :]
    assert "selftest passed" in answer
    assert "detections" in answer


@pytest.mark.slow
def test_metrics_hold_fusions_degradation_and_night(story: tuple[Path, str]):
    folder, output = story
    run = Run.open(folder / "runs" / "tiny" / "latest")
    metrics = json.loads((run.folder / "metrics.json").read_text())
    jsonschema.validate(metrics, json.loads((SCHEMAS / "metrics.schema.json").read_text()))
    assert metrics["samples"] == 8
    assert set(metrics["fusions"]) == {"cross_attention", "radar_as_channels", "camera_only"}
    for name, row in metrics["fusions"].items():
        assert row["mean"] == row["per_seed"]["0"]
        assert row["training"]["0"]["epochs"] == row["training"]["0"]["best_epoch"] == 1
        assert row["training"]["0"]["still_improving"]
        dead = set() if name == "camera_only" else {"mAP_camera_dead", "mAP_radar_dead"}
        assert row["mean"].keys() == {"mAP", "NDS_front", "velocity_error"} | dead
    for sensor in ("camera", "radar"):
        score = metrics["fusions"]["cross_attention"]["mean"][f"mAP_{sensor}_dead"]
        assert score == pytest.approx(metrics["degradation"][f"{sensor}_dead"]["mAP"])
    assert not (run.folder / "comparison" / "latest").exists()
    assert metrics["fusions"]["cross_attention"]["mean"]["mAP"] == pytest.approx(metrics["test"]["mAP"]["value"])
    assert set(metrics["night"]) == {"fusion", "camera_only"}
    assert set(metrics["gains"]) == {"radar_dead", "velocity_ratio", "night_ratio"}
    means = {name: row["mean"] for name, row in metrics["fusions"].items()}
    expected = means["cross_attention"]["mAP_radar_dead"] - means["camera_only"]["mAP"]
    assert metrics["gains"]["radar_dead"]["value"] == pytest.approx(expected)
    assert "still improving when training ended (best epoch 1 of 1)" in output
    # Weathers that no test drive has are left out.
    assert {"both", "camera_dead", "radar_dead", "night"} <= set(metrics["degradation"])
    assert "simulator" in metrics["provenance"]["notice"]
    assert metrics["provenance"]["notice"].split(":")[0] in (run.folder / "report.html").read_text()
    assert (run.folder / "comparison" / "radar_as_channels-0" / "scores.json").is_file()
    assert "radar_as_channels" in output


@pytest.mark.slow
def test_every_exported_file_is_accepted(story: tuple[Path, str]):
    folder, _ = story
    export = json.loads((folder / "saved_models/tiny/1/export.json").read_text())
    jsonschema.validate(export, json.loads((SCHEMAS / "export.schema.json").read_text()))
    assert {(file["format"], file["precision"]) for file in export["files"]} == {
        ("tflite", "float32"),
        ("onnx", "float32"),
    }
    assert all(file["accepted"] for file in export["files"])
    bundle = Bundle.open(folder / "saved_models" / "tiny")
    assert set(bundle.specs) == {"camera", "radar"}


@pytest.mark.slow
def test_a_second_run_simulates_and_converts_nothing(story: tuple[Path, str]):
    folder, _ = story

    def state() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (folder / "data").rglob("*") if path.suffix != ".lock"}

    before = state()
    done = _pipeline("--config", str(folder / "tiny.toml"), "--train.batch_size", "99", "--compare.variants", "[]")
    assert "train.batch_size: 99 samples in a step, but the training split has 12" in " ".join(done.stderr.split())
    assert state() == before
