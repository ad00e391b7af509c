from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.card.model_card import main, model_card, write_card
from export.card.sections import SECTIONS
from export.verification.report import Report
from mmkeras.bundle import Bundle
from mmkeras.core.errors import DataError
from mmkeras.storage.files import write_json

NOTICE = "Simulated: the numbers say nothing of roads."


def metric(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "method": "bootstrap"}


METRICS: dict[str, Any] = {
    "task": {"kind": "classification", "metric": "accuracy", "metric_sign": 1},
    "samples": 321,
    "intervals": {"confidence": 0.95},
    "test": {"accuracy": metric(0.91), "auc": {"value": None, "low": None, "high": None, "method": "exact"}},
    "ablation": {
        "removed": {"image": {"metrics": {"accuracy": metric(0.5)}, "difference": {"accuracy": metric(-0.41)}}},
        "verdict": {"text": "Fusion helps."},
    },
    "slices": {
        "light | <b>colour</b>": {
            f"value {i}": {"accuracy": metric(0.1 * i), "samples": 10 * i, "few": i == 1, "worse": i == 2}
            for i in range(1, 8)
        }
    },
    "per_class": {"red": {"samples": 12, "few": False, "recall": metric(0.7)}},
    "degradation": {"fog": {"mAP": 0.25, "samples": 9}},
    "warnings": ["Worse at night."],
    "provenance": {"notice": NOTICE},
}


@pytest.fixture
def folder(report: Report, tmp_path: Path) -> Path:
    """The bundle's reports, without its models."""
    for name in ("manifest.json", "export.json"):
        shutil.copy(report.folder / name, tmp_path)
    return tmp_path


def test_every_export_writes_one(report: Report):
    text = (report.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert text == model_card(report.folder)
    for heading in SECTIONS:
        assert f"\n## {heading}\n" in text
    for file in report.files:
        assert f"| {file.format}" in text.replace("\\_", "_")
        assert f"{file.bytes:,}" in text
    assert "Source: not recorded" in text
    assert "## Slices\n\nNot measured." in text
    assert "Not measured: slices, calibration of the confidence, degraded sensors, latency on a device" in text
    assert "Weights: not recorded" in text
    for scenario in report.reference:
        assert scenario.replace("_", "\\_") in text


def test_what_was_measured_is_in_it(folder: Path):
    write_json(folder / "metrics.json", METRICS)
    write_json(folder / "benchmark.json", {"files": [{"format": "onnx", "precision": "float32", "p50_ms": 1.25}]})
    text = write_card(folder).read_text(encoding="utf-8")
    assert text.index(NOTICE) < text.index("## Model"), "before any number"
    assert "| accuracy | 0.9100 (0.9000 to 0.9200) |" in text
    assert "| auc | not measured |" in text
    assert "| image without | 0.5000 (0.4900 to 0.5100) | -0.4100 (-0.4200 to -0.4000) |" in text
    assert "Fusion helps." in text
    assert "light \\| \\<b\\>colour\\</b\\> | value 1 | 10 | 0.1000 (0.0900 to 0.1100) | few samples |" in text
    assert "value 5" in text
    assert "value 6" not in text
    assert "| red | 12 | 0.7000 (0.6900 to 0.7100) |" in text
    assert "| fog | 0.25 | 9 |" in text
    assert "Evaluated on: 321 test samples" in text
    assert "| 1.250 | accepted |" in text
    assert "- Worse at night." in text
    assert "fairness, privacy and resistance to attacks" in text
    assert "latency on a device" not in text


def test_a_notice_in_the_manifest_is_enough(folder: Path):
    value = json.loads((folder / "manifest.json").read_text())
    value["provenance"]["notice"] = NOTICE
    write_json(folder / "manifest.json", value)
    assert model_card(folder).splitlines()[2] == f"> **{NOTICE}**"


def test_rejected_files_are_named(folder: Path):
    value = json.loads((folder / "export.json").read_text())
    value["files"][0].update(accepted=False, reason="2 decisions | flipped")
    write_json(folder / "export.json", value)
    text = model_card(folder)
    assert "rejected: 2 decisions \\| flipped |" in text
    assert "- Rejected, not to be used: " in text


def test_metrics_of_another_run_are_refused(folder: Path):
    value = json.loads((folder / "manifest.json").read_text())
    value["provenance"]["data_fingerprint"] = "ours"
    write_json(folder / "manifest.json", value)
    other = folder / "other.json"
    write_json(other, {**METRICS, "provenance": {"data_fingerprint": "theirs"}})
    with pytest.raises(DataError, match="data_fingerprint: expected ours, as in the manifest, got theirs"):
        model_card(folder, other)


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '{"samples": 1' + "0" * 400 + "}"])
def test_damaged_reports_are_named(folder: Path, content: str):
    (folder / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=r"metrics\.json"):
        model_card(folder)


def test_reports_of_another_form_are_refused(folder: Path):
    write_json(folder / "metrics.json", {**METRICS, "intervals": {"confidence": "high"}})
    with pytest.raises(DataError, match="has not the form that an export"):
        model_card(folder)


def test_the_program(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_json(tmp_path / "run.json", METRICS)
    out = tmp_path / "card.md"
    assert main([str(folder), "--metrics", str(tmp_path / "run.json"), "--out", str(out)]) == 0
    assert NOTICE in out.read_text(encoding="utf-8")
    assert not (folder / "MODEL_CARD.md").exists()
    assert main([str(folder), "--metrics", str(tmp_path / "gone.json")]) == 2
    assert "There is no file" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere")]) == 2


def test_it_is_packed(report: Report, tmp_path: Path):
    from mmkeras.runtime.packing import pack_bundle

    with Bundle.open(report.folder) as source:
        path = pack_bundle(source, tmp_path / "x.mmk")
    with Bundle.open(path) as bundle:
        assert bundle.packed
        assert bundle.packed.archive.read("MODEL_CARD.md") == (report.folder / "MODEL_CARD.md").read_bytes()
