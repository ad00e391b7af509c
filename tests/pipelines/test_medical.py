"""The medical pipeline: its configurations, its numbers, and its demonstration."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.core.command_line import parse
from mmkeras.core.config import EvaluateConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError
from mmkeras.core.modalities import modality_configs
from mmkeras.data.sources.medpix2 import Source
from mmkeras.evaluation import evaluate, write_report
from mmkeras.modalities import ModalitySpec
from mmkeras.tasks import TaskSpec
from pipelines import medical
from pipelines._medical import abstain
from pipelines._medical.demo import PARTS, write_demo
from pipelines._stages.contract import Evaluated
from tests.evaluation.problems import both_bits, left_bit, specs, two_signals
from tests.evaluation.problems import task as signal_task

CONFIGS = Path(medical.__file__).parent / "configs"
SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json").read_text("utf-8"))


def _config(name: str = "") -> medical.MedicalConfig:
    arguments = ["--config", str(CONFIGS / f"medical_{name}.toml")] if name else []
    defaults = CONFIGS / "medical.toml"
    config, _ = parse(medical.MedicalConfig, arguments, program="t", description="", defaults=defaults)
    return config


@pytest.mark.parametrize(
    ("name", "modalities", "task"),
    [
        ("", ["image", "text", "row"], "classification"),
        ("device", ["image"], "classification"),
        ("covid", ["image", "text", "row"], "multilabel"),
        ("dicom", ["image", "text", "row"], "classification"),
    ],
)
def test_a_configuration_reads_what_it_says(name: str, modalities: list[str], task: str):
    config = _config(name)
    assert list(modality_configs(config.model)) == modalities
    assert config.model.task.name == task
    assert config.model.image.feature_dropout == 0.5
    assert config.privacy.redact == ("all" if name == "dicom" else "none")
    assert medical.MedicalStory().named(config) == ("medical" if name == "" else "")


@pytest.mark.parametrize("name", ["device", "covid", "dicom"])
def test_only_the_location_is_recorded(name: str):
    with pytest.raises(ConfigError, match="--record: the numbers are those of the location"):
        medical.MedicalStory().check_numbers(_config(name))
    few = _config()
    few = dataclasses.replace(few, data=dataclasses.replace(few.data, limit=10))
    with pytest.raises(ConfigError, match=r"data\.limit 10"):
        medical.MedicalStory().check_numbers(few)
    medical.MedicalStory().check_numbers(_config())


def test_a_demonstration_of_another_source_is_refused():
    with pytest.raises(ConfigError, match="--demo generates a set for the source medpix2, not for 'covid_cxr'"):
        medical.MedicalStory().configured(_config("covid"), {"demo": True, "record": None})


def test_a_wrong_risk_is_refused():
    with pytest.raises(ConfigError, match=r"abstain\.most_risk: expected a share"):
        medical.AbstainConfig(most_risk=1.0)


def test_drawing_and_history_are_both_needed_in_the_generated_set(tmp_path: Path):
    write_demo(tmp_path)
    samples = list(Source(folder=str(tmp_path)).samples())
    assert len(samples) == 480
    assert {sample.target for sample in samples} == set(PARTS)
    assert {sample.split for sample in samples} == {"train", "validation", "test"}
    drawings, complaints = zip(*PARTS.values(), strict=True)
    assert max(map(drawings.count, drawings)) == max(map(complaints.count, complaints)) == 2
    assert len(set(PARTS.values())) == len(PARTS)


# === Calibration and abstention ===


class _Index:
    """Converted data, as far as it is asked: whether there is a validation split."""

    def __init__(self, count: int) -> None:
        self._count = count

    def samples(self, split: str) -> int:
        assert split == "validation"
        return self._count


@dataclasses.dataclass
class _Run:
    folder: Path
    specs: dict[str, ModalitySpec]
    task: TaskSpec
    index: _Index


def _unsure(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Answer by both bits where the left one is set, which is right, and by the left one alone where it is not."""
    known, guessed = both_bits(inputs)["probabilities"], left_bit(inputs)["probabilities"]
    return {"probabilities": np.where(inputs["left_value"] > 0, known, guessed)}


def _evaluated(folder: Path, validation: int) -> Evaluated:
    samples = two_signals(300)
    found: Any = _Run(folder, specs("left", "right"), signal_task(), _Index(validation))
    return Evaluated(found, _config(), _unsure, samples, Console(quiet=True), "medical")


def test_the_report_shows_calibration_and_withheld_answers(tmp_path: Path, monkeypatch):
    done = _evaluated(tmp_path, 300)
    evaluate(_unsure, done.samples, done.run.specs, done.run.task, EvaluateConfig(bootstrap=20), tmp_path)
    monkeypatch.setattr(abstain, "read", lambda *_, **__: two_signals(300, seed=1))
    abstain.calibrate(done, 0.1)
    metrics = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, SCHEMA)
    assert metrics["selective"]["most_risk"] == 0.1
    assert metrics["selective"]["risk"] < 0.05 < metrics["selective"]["risk_of_all"]
    assert 0.4 < metrics["selective"]["coverage"] < 0.6
    assert "Withheld answers" in (tmp_path / "report.html").read_text("utf-8")
    assert (tmp_path / "pictures" / "risk.png").is_file()
    metrics["selective"] |= {"threshold": None, "coverage": 0.0, "risk": None}
    jsonschema.validate(metrics, SCHEMA)
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert "should not answer alone" in write_report(tmp_path).read_text("utf-8")


def test_without_validation_nothing_is_calibrated(tmp_path: Path):
    abstain.calibrate(_evaluated(tmp_path, 0), 0.1)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_demonstration_runs_whole(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = ["--train.epochs", "8", "--export.precisions", '["float32"]', "--export.samples", "32"]
    few += ["--alone.modalities", '["image"]']
    assert medical.main(["--demo", *few]) in (0, 1)
    run = tmp_path / "runs" / "medical_demo" / "latest"
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, SCHEMA)
    assert "generated data" in metrics["provenance"]["notice"]
    assert metrics["test"]["accuracy"]["value"] > 0.5
    assert metrics["selective"]["temperature"] > 0
    assert list(metrics["alone"]["modalities"]) == ["image"]
    files = json.loads((tmp_path / "saved_models/medical_demo/1/export.json").read_text("utf-8"))["files"]
    assert any(file["accepted"] for file in files)
