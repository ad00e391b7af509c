"""The documents pipeline: its configurations, its numbers, its key fields, and its demonstration."""

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
from mmkeras.core.errors import ConfigError
from mmkeras.core.modalities import modality_configs
from mmkeras.data.sources.tagged_pages import Source
from mmkeras.modalities.document.spec import Config as DocumentConfig
from mmkeras.tasks.tags.spec import Spec as Tags
from pipelines import documents, medical
from pipelines._documents.demo import write_demo
from pipelines._documents.fields import LEAST, counts_of, f1_of, fields_of, read_fields
from pipelines._medical.reports import write_reports
from pipelines._stages.alone_config import CrossValidationConfig
from pipelines._stages.results import Figure
from tests.data.test_document_sources import receipt

CONFIGS = Path(documents.__file__).parent / "configs"
SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "metrics.schema.json").read_text("utf-8"))


def _config(name: str = "") -> documents.DocumentsConfig:
    arguments = ["--config", str(CONFIGS / f"documents_{name}.toml")] if name else []
    defaults = CONFIGS / "documents.toml"
    return parse(documents.DocumentsConfig, arguments, program="t", description="", defaults=defaults)[0]


@pytest.mark.parametrize(
    ("name", "modalities", "number"),
    [("", ["image", "document"], "funsd_r"), ("cord", ["document"], "cord_r"), ("sroie", ["document"], "sroie")],
)
def test_a_configuration_measures_its_number(name: str, modalities: list[str], number: str) -> None:
    config = _config(name)
    assert list(modality_configs(config.model)) == modalities
    assert config.compared_alone == (("document",) if len(modalities) > 1 else ())
    story = documents.DocumentsStory()
    assert story.named(config) == f"documents.{number}"
    story.check_numbers(config)
    few = dataclasses.replace(config, data=dataclasses.replace(config.data, limit=9))
    with pytest.raises(ConfigError, match=r"data\.limit 9"):
        story.check_numbers(few)


def test_numbers_come_from_the_metrics() -> None:
    story = documents.DocumentsStory()
    test = {"entity_f1": {"value": 0.6, "low": 0.5, "high": 0.7}}
    metrics: dict[str, Any] = {"test": test, "provenance": {"measures": "cord_r"}}
    assert story.numbers(metrics) == {"documents.cord_r": Figure(60.0, 50.0, 70.0)}
    metrics["provenance"] = {"measures": "sroie"}
    with pytest.raises(ConfigError, match="expected key fields"):
        story.numbers(metrics)
    metrics["documents"] = {"fields": {"f1": {"value": 0.8, "low": 0.7, "high": 0.9}}}
    assert story.numbers(metrics)["documents.sroie"].value == pytest.approx(80.0)


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="measures: expected funsd_r"):
        dataclasses.replace(_config(), measures="funsd")
    single = dataclasses.replace(_config("sroie"), cross_validation=CrossValidationConfig(0))
    with pytest.raises(ConfigError, match="expected 5 folds of SROIE"):
        documents.DocumentsStory().check_numbers(single)
    with pytest.raises(ConfigError, match="not for 'sroie'"):
        documents.DocumentsStory().configured(_config("sroie"), {"demo": True, "record": None})


def _entity(label: str, text: str, confidence: float) -> dict[str, Any]:
    return {"label": label, "text": text, "confidence": confidence}


def test_fields_are_read_from_entities() -> None:
    found = read_fields(
        [
            _entity("total", "RM 33.90", 0.9),
            _entity("total", "TOTAL", 0.99),
            _entity("total", "50.00", 0.7),
            _entity("date", "DATE: 12/01/19 10:15", 0.8),
            _entity("address", "NO 31G,", 0.9),
            _entity("address", "SELANGOR", 0.5),
            _entity("address", "THANK YOU", 0.2),
        ]
    )
    assert found == {"company": "", "date": "12/01/19", "address": "NO 31G, SELANGOR", "total": "33.90"}


def test_a_total_without_an_entity_is_the_likeliest_amount() -> None:
    spec = DocumentConfig(words=4, overlap=1).spec_before_data("document")
    task = Tags(("date", "total"), "BIO", "document", 4)
    words = ["1", "9.50", "7.25", "TOTAL"]
    boxes = [[10 * place, 0, 10 * place + 9, 9] for place in range(4)]
    page = {"width": 50, "height": 10, "words": words, "boxes": boxes}
    outputs = {"tags": np.full((1, 4, 5), 0.01, np.float32)}
    outputs["tags"][..., 0] = 0.9
    outputs["tags"][0, :, 3] = [0.4, 0.1, 0.2, 0.4]  # B-total: a count and a word are no amounts
    assert fields_of(task, spec, [{"document": page}], outputs)[0]["total"] == "7.25"
    outputs["tags"][0, :, 3] = LEAST / 2
    assert fields_of(task, spec, [{"document": page}], outputs)[0]["total"] == ""


def test_the_f1_of_fields_counts_strings() -> None:
    truth = {"company": "A. Co", "date": "1/2/2019", "address": "X 1", "total": "9.50"}
    answer = {"company": "a co", "date": "", "address": "X 2", "total": "RM9.50"}
    counts = counts_of([answer, truth], [truth, truth])
    assert counts.sum(axis=(0, 1)).tolist() == [6, 7, 8]
    found = f1_of(counts, 200, 0)
    assert found["f1"]["value"] == pytest.approx(12 / 15)
    assert found["f1"]["low"] < found["f1"]["value"] <= found["f1"]["high"]
    assert found["by_field"]["date"] == pytest.approx(2 / 3)


def test_generated_forms_are_tagged(tmp_path: Path) -> None:
    write_demo(tmp_path, 12)
    samples = list(Source(folder=str(tmp_path)).samples())
    assert len(samples) == 12
    assert {tag for sample in samples for tag in sample.target} >= {"O", "B-question", "B-answer", "B-header"}
    assert all(Path(sample.values["image"]).is_file() for sample in samples)


def test_generated_reports_need_the_picture(tmp_path: Path) -> None:
    write_reports(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "reports.jsonl").read_text("utf-8").splitlines()]
    assert all(len(row["report"].split()) == len(row["tags"].split()) for row in rows)
    told = [
        any(word in row["report"] for word in ("smooth", "spiculated"))
        for row in rows
        if set(row["tags"].split()) != {"O"}
    ]
    assert 0.2 < np.mean(told) < 0.5
    arguments = ["--config", str(CONFIGS / "medical_tags.toml")]
    defaults = CONFIGS / "medical.toml"
    config, _ = parse(medical.MedicalConfig, arguments, program="t", description="", defaults=defaults)
    shown = medical.MedicalStory().configured(config, {"demo": True, "record": None})
    assert shown.data.source.options["path"].endswith("reports.jsonl")
    assert shown.model.text.pooling == "words"
    assert medical.MedicalStory().named(config) == ""


def test_receipts_of_every_fold_are_read_by_a_model_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(24):
        receipt(tmp_path / "sroie", f"{number:03}")
    sizes = "".join(f"{number:03},200,120,100,60\n" for number in range(24))
    (tmp_path / "sroie" / "derived_sizes.csv").write_text(f"id,orig_w,orig_h,w,h\n{sizes}", "utf-8")
    small = ["--model.width", "16", "--model.document.hidden", "16", "--model.document.layers", "1"]
    small += ["--model.document.embeddings", "none", "--model.document.words", "48", "--model.document.overlap", "8"]
    small += ["--train.epochs", "1", "--evaluate.bootstrap", "20", "--data.workers", "1", "--skip_export"]
    folds = ["--cross_validation.folds", "2", "--data.source.options.folder", "sroie"]
    assert documents.main(["--config", str(CONFIGS / "documents_sroie.toml"), *small, *folds]) == 0
    metrics = json.loads((tmp_path / "runs" / "documents_sroie" / "latest" / "metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, SCHEMA)
    assert metrics["samples"] < metrics["folds"]["samples"] == metrics["documents"]["fields"]["receipts"] == 24


@pytest.mark.slow
def test_the_demonstration_runs_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--train.epochs", "10", "--export.precisions", '["float32"]', "--export.samples", "32"]
    assert documents.main(["--demo", *few]) == 0
    metrics = json.loads((tmp_path / "runs" / "documents_demo" / "latest" / "metrics.json").read_text("utf-8"))
    jsonschema.validate(metrics, SCHEMA)
    assert metrics["test"]["entity_f1"]["value"] > 0.6
    assert set(metrics["documents"]["scenarios"]) == {"all", "jumbled", "shifted"}
    assert metrics["documents"]["scenarios"]["jumbled"] < metrics["documents"]["scenarios"]["all"]
    assert list(metrics["alone"]["modalities"]) == ["document"]
    assert all(each["changed"] == 0 < each["entities"] for each in metrics["documents"]["exported"])
    assert {each["format"] for each in metrics["documents"]["exported"]} >= {"tflite", "onnx"}
