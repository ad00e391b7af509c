"""A model of one modality is exported, proven and run without a state in which that modality is missing."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import keras
import pytest

from export.run import export_source
from export.source import Source
from mmkeras.bundle import Bundle
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import DataError
from mmkeras.model import build_model, modality_specs, task_spec
from mmkeras.runtime.predictor import Predictor
from mmkeras.runtime.selftest import selftest
from tests.export.conftest import make_samples
from tests.tiny import tiny_model_config

pytestmark = pytest.mark.tfio


def test_nothing_tries_it_without_its_modality(tmp_path: Path, easy_vqa_images: list[Path]) -> None:
    keras.utils.set_random_seed(1)
    config = dataclasses.replace(tiny_model_config(tmp_path), without=("image",))
    model, specs = build_model(config), modality_specs(config)
    samples = [
        dataclasses.replace(sample, values={"text": sample.values["text"]})
        for sample in make_samples(32, easy_vqa_images)
        if sample.values["text"] is not None
    ]
    source = Source("words", model, specs, task_spec(config), samples)
    settings = ExportConfig(
        folder=str(tmp_path / "saved_models"), formats=("saved_model", "tflite"), precisions=("float32",)
    )
    report = export_source(source, settings, console=Console(file=io.StringIO()))
    written = json.loads((report.folder / "export.json").read_text())
    assert [(file["format"], file["accepted"]) for file in written["files"]] == [
        ("saved_model", True),
        ("tflite", True),
    ]
    tried = {scenario for file in written["files"] for scenario in file["scenarios"]}
    assert tried == {"all", "empty_text", "longest_text", "raw"}
    result = selftest(Bundle.open(report.folder))
    assert result.passed
    assert set(result.scenarios) == {"all", "empty_text", "longest_text", "probes"}
    with Predictor(report.folder) as predictor, pytest.raises(DataError, match="at least one of text"):
        predictor.predict()
