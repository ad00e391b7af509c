"""Traffic signs: the demonstration from drawn signs to verified files, leaks, balance and the confused speed limits."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import mmkeras
from mmkeras.bundle import Bundle
from mmkeras.core.components import Choice
from mmkeras.core.config import DataConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, DataError
from mmkeras.data.convert import convert
from mmkeras.data.index import Index
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.tasks.classification.spec import Config as TaskConfig
from pipelines._stages.public import NOTICE
from pipelines.traffic_signs import TrafficSignsConfig, TrafficSignsStory, among_limits, main
from tests.conftest import REPOSITORY
from tests.data.signs import write_official

SCHEMAS = Path(mmkeras.__file__).parent / "schemas"


@pytest.mark.slow
def test_the_demonstration_goes_from_drawn_signs_to_verified_files(tmp_path: Path):
    few = ["--train.epochs", "1", "--train.ema", "null", "--export.samples", "32", "--export.max_metric_drop", "100"]
    places = ["--data.folder", "data", "--runs", "runs", "--export.folder", "saved", "--export.max_flips", "100"]
    command = [sys.executable, "-m", "pipelines.traffic_signs", "--demo", *few, *places]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": "", "COLUMNS": "120"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    metrics = json.loads((tmp_path / "runs/traffic_signs_demo/latest/metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, json.loads((SCHEMAS / "metrics.schema.json").read_text("utf-8")))
    assert metrics["provenance"]["notice"] == NOTICE
    assert metrics["slices"]["size"].keys() == {"00 to 24 px", "25 to 34 px", "35 to 49 px", "50 to 79 px"}
    assert (tmp_path / "runs/traffic_signs_demo/latest/pictures/speed_limits.png").is_file()
    bundle = Bundle.open(tmp_path / "saved" / "traffic_signs_demo")
    assert {(file.format, file.precision) for file in bundle.files} >= {("tflite", "int8"), ("onnx", "float16")}
    assert "Signs by split" in done.stdout


def converted(folder: Path) -> tuple[TrafficSignsConfig, Index]:
    source = Choice("gtsrb", {"folder": str(write_official(folder / "signs", tracks=6))})
    data = DataConfig(source, str(folder / "data"), 0.6, 0.2, stratify=True, workers=1)
    index = convert(data, {"image": ImageConfig(size=(16, 16))}, TaskConfig())
    return TrafficSignsConfig(data=data), index


def test_the_balance_of_every_split_is_shown(tmp_path: Path, capsys):
    TrafficSignsStory().after_data(*converted(tmp_path), Console())
    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    counts = {row[0]: row[1:4] for row in rows if row and row[0] in ("train", "validation", "test")}
    assert counts == {"train": ["36", "12", "3"], "validation": ["9", "3", "3"], "test": ["9", "3", "3"]}


def test_a_track_in_two_splits_stops_the_run(tmp_path: Path):
    config, index = converted(tmp_path)
    leaking = dataclasses.replace(index, splits={**index.splits, "validation": index.splits["train"]})
    with pytest.raises(DataError, match=r"track 0000\d/0000\d is in the splits train and validation"):
        TrafficSignsStory().after_data(config, leaking, Console())


def test_confusions_of_speed_limits_keep_all_samples():
    labels = ["30 km/h", "50 km/h", "80 km/h", "stop", "yield"]
    matrix = [[5, 1, 0, 0, 0], [0, 6, 2, 0, 1], [0, 0, 7, 0, 0], [0, 1, 0, 3, 1], [0, 0, 0, 2, 4]]
    found = among_limits({"labels": labels, "matrix": matrix})
    assert found == {
        "labels": ["30 km/h", "50 km/h", "80 km/h", "another sign"],
        "matrix": [[5, 1, 0, 0], [0, 6, 2, 1], [0, 0, 7, 0], [0, 1, 0, 10]],
    }
    assert among_limits({"labels": ["30 km/h", "stop"], "matrix": [[1, 0], [0, 1]]}) is None


def test_without_data_it_says_where_the_set_can_be_had(capsys):
    assert main([]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "German Traffic Sign Recognition Benchmark" in said
    assert "Free for research" in said


def test_only_gtsrb_by_track_is_recorded():
    story, config = TrafficSignsStory(), TrafficSignsConfig()
    good = DataConfig(Choice("gtsrb", {"folder": "signs"}), split_by_group=True)
    story.check_numbers(dataclasses.replace(config, data=good))
    for wrong in ({"split_by_group": False}, {"limit": 10}, {"source": Choice("table", {"path": "a.csv"})}):
        with pytest.raises(ConfigError, match="measured on GTSRB by track"):
            story.check_numbers(dataclasses.replace(config, data=dataclasses.replace(good, **wrong)))
    figure = story.numbers({"test": {"accuracy": {"value": 0.981, "low": 0.97, "high": 0.99}}})[
        "traffic_signs.accuracy"
    ]
    assert figure == pytest.approx((98.1, 97, 99))
