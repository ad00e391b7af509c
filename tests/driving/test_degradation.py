from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.config import EvaluateConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.driving.degradation import SCENARIOS, degradation, print_degradation, record_degradation
from mmkeras.evaluation import evaluate, write_report
from mmkeras.evaluation.watch import EpochPictures
from tests.evaluation.frames import Oracle, frames, specs, task, without_raw

SAMPLES = frames(12)
SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json").read_text(encoding="utf-8"))
NOTICE = "Simulated: no road was driven."


def test_every_scenario_that_applies_is_measured():
    table = degradation(Oracle(SAMPLES), SAMPLES, specs(), task(), batch_size=5)
    assert set(table) == {scenario.name for scenario in SCENARIOS} - {"fog"}, "no frame was recorded in fog"
    assert table["both"]["mAP"] > 0.9
    assert table["both"]["samples"] == 12
    assert table["camera_dead"]["mAP"] == table["radar_dead"]["mAP"] == 0
    assert table["radar_dead"]["velocity_error"] is None, "nothing was found"
    assert table["both"]["mAP"] > table["misaligned_1"]["mAP"] > table["misaligned_5"]["mAP"]
    assert table["both"]["mAP"] > table["half_lost"]["mAP"] > 0
    assert table["radar_stale"]["mAP"] < table["both"]["mAP"]
    assert table["night"]["samples"] == 4
    assert table["rain"]["samples"] == 3


def test_a_model_with_one_sensor_or_data_without_columns_has_fewer_rows():
    camera = {name: spec for name, spec in specs().items() if name == "camera"}
    bare = dataclasses.replace(SAMPLES, columns={})

    def infer(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert set(inputs) == {"camera", "camera_present"}
        return {o.name: np.zeros((len(inputs["camera"]), *o.shape), np.float32) for o in task().outputs}

    table = degradation(infer, bare, camera, task())
    assert list(table) == ["both"]
    assert table["both"]["mAP"] == 0


def test_faults_need_raw_values():
    with pytest.raises(DataError, match="'stale' changes the raw values of 'radar'"):
        degradation(Oracle(SAMPLES), without_raw(SAMPLES), specs(), task())


def test_a_missing_radar_stays_missing_under_a_fault():
    raw = tuple({**row, "radar": None} for row in SAMPLES.raw)
    inputs = {
        **SAMPLES.inputs,
        "radar_present": np.zeros(12, np.float32),
        "radar_mask": np.zeros_like(SAMPLES.inputs["radar_mask"]),
    }
    table = degradation(Oracle(SAMPLES), dataclasses.replace(SAMPLES, raw=raw, inputs=inputs), specs(), task())
    assert all(row["mAP"] == 0 for row in table.values())


def test_metrics_report_and_terminal(tmp_path: Path):
    oracle, stream = Oracle(SAMPLES), io.StringIO()
    config = EvaluateConfig(batch_size=5, bootstrap=10)
    provenance = {"name": "drives", "notice": NOTICE}
    metrics = evaluate(oracle, SAMPLES, specs(), task(), config, tmp_path, provenance=provenance)
    assert metrics["calibration"] is None
    assert metrics["confusion"] is None
    assert set(metrics["per_class"]) == {"car", "truck", "pedestrian", "bicycle"}
    assert all(set(entry) == {"AP", "samples", "few"} for entry in metrics["per_class"].values())
    assert all(error["wrongness"] >= 1 for error in metrics["errors"])

    table = degradation(oracle, SAMPLES, specs(), task())
    record_degradation(tmp_path, table)
    record_degradation(tmp_path, table, "edge/drives.float32.tflite")
    print_degradation(table, Console(file=stream, width=100))
    assert "radar 200 ms stale" in stream.getvalue()
    assert not math.isnan(table["both"]["mAP"])

    path = tmp_path / "metrics.json"
    written = json.loads(path.read_text(encoding="utf-8"))
    row = {"mAP": 0.5, "NDS_front": 0.4, "velocity_error": None}
    both = row | {"mAP_radar_dead": 0.1234}
    written["fusions"] = {
        "camera_only": {"per_seed": {"0": row, "1": row}, "mean": row},
        "cross_attention": {"per_seed": {"0": both, "1": both}, "mean": both},
        "radar_as_channels": {"per_seed": {"0": both}, "mean": both},
    }
    written["night"] = {"fusion": row, "camera_only": row}
    gain = {"value": 0.2063, "low": 0.1871, "high": None}
    written["gains"] = {"fusion_gain": {**gain, "per_seed": {"0": gain}}}
    jsonschema.validate(written, SCHEMA)
    path.write_text(json.dumps(written), encoding="utf-8")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.index(NOTICE) < page.index("Test metrics"), "what must be known stands before the numbers"
    for words in (
        "When a sensor fails",
        "Fusions compared",
        "edge/drives.float32.tflite",
        "AP of car",
        "camera only",
        "fusion gain",
        "0.2063",
        "A single frame cannot",
        "12.3\N{NO-BREAK SPACE}%",
        "(1 seed)",
    ):
        assert words in page
    assert page.count(NOTICE) == 1
    assert {p.stem for p in (tmp_path / "pictures").glob("*.png")} >= {"samples", "degradation", "ablation"}


def test_recording_needs_an_evaluation(tmp_path: Path):
    with pytest.raises(DataError, match=r"Expected metrics\.json"):
        record_degradation(tmp_path, {"both": {"mAP": 1.0, "samples": 1}})


def test_tensorboard_shows_the_frames():
    class Model:
        def predict(self, inputs: dict[str, np.ndarray], **_: object) -> dict[str, np.ndarray]:
            return Oracle(SAMPLES)(inputs)

    pictures = EpochPictures(SAMPLES, specs(), task(), shown=2)(Model())
    assert set(pictures) == {"samples"}
    assert pictures["samples"].shape[2] == 3
