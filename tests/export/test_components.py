"""Every fusion and every task goes through both edge converters; components are found, not listed."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

from export.run import export_source
from export.source import Source
from mmkeras.components import Choice, names
from mmkeras.config import ExportConfig
from mmkeras.modalities.image.spec import ARCHITECTURES
from mmkeras.model import build_model, modality_specs, task_spec
from tests.tiny import IMAGE, LABELS, TinyModel, tiny_model_config

TASKS = {
    "regression": Choice("regression", {"names": ["age"], "mean": [40.0], "std": [20.0]}),
    "multilabel": Choice("multilabel", {"labels": list(LABELS)}),
    "classification": Choice("classification", {"labels": list(LABELS)}),
}


def exported(config: TinyModel, source: Source, folder: Path, precisions: tuple[str, ...] = ("float32",)) -> None:
    keras.utils.set_random_seed(0)
    task = task_spec(config)
    samples = [
        dataclasses.replace(sample, target=np.ones(task.target.shape, task.target.dtype))
        for sample in source.samples[:16]
    ]
    given = Source("part", build_model(config), modality_specs(config), task, samples)
    settings = ExportConfig(folder=str(folder), formats=("tflite", "onnx"), precisions=precisions)
    report = export_source(given, settings, console=Console(file=io.StringIO()))
    assert report.accepted, [(f.format, f.precision, f.reason) for f in report.files if not f.accepted]


def test_every_task_has_a_case_here() -> None:
    assert set(TASKS) == set(names("tasks"))


@pytest.mark.parametrize("task", ["regression", pytest.param("multilabel", marks=pytest.mark.slow)])
def test_every_task_is_exported(task: str, source: Source, tmp_path: Path) -> None:
    exported(tiny_model_config(tmp_path, task=TASKS[task]), source, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", sorted(names("fusion")))
def test_every_fusion_is_exported(fusion: str, source: Source, tmp_path: Path) -> None:
    exported(tiny_model_config(tmp_path, fusion=fusion), source, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a in ("EfficientNetB0", "EfficientNetV2B0")])
def test_image_backbones_with_normalization_are_exported(architecture: str, source: Source, tmp_path: Path) -> None:
    image = dataclasses.replace(IMAGE, architecture=architecture, width_factor=1.0, depth_factor=1.0)
    exported(dataclasses.replace(tiny_model_config(tmp_path), image=image), source, tmp_path)
