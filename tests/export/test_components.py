"""Every fusion and every task goes through both edge converters; components are found, not listed."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from export.run import export_source
from export.source import Sample, Source
from mmkeras.core.components import Choice, names
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.media.points.pcd import write_pcd
from mmkeras.media.points.radar_cloud import POINT_FIELDS
from mmkeras.modalities.image.spec import ARCHITECTURES
from mmkeras.model import build_model, modality_specs, task_spec
from tests.tiny import IMAGE, LABELS, TinyModel, tiny_drive_config, tiny_model_config

TASKS = {
    "regression": Choice("regression", {"names": ["age"], "mean": [40.0], "std": [20.0]}),
    "embedding": Choice("embedding", {"size": 6}),
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


WHOLE = {"tags", "segmentation", "matching"}
"""Tasks that are exported from a trained model: tests/toys/test_tasks.py, test_chain.py of tags, test_towers.py."""


def test_every_task_has_a_case_here() -> None:
    assert {*TASKS, *WHOLE, "detection"} == set(names("tasks"))


def test_detection_is_exported(tmp_path: Path) -> None:
    config = tiny_drive_config()
    task = task_spec(config)
    rng = np.random.default_rng(0)
    target = np.zeros(task.target.shape, np.float32)
    target[-1, :7] = (1.7, 0.0, 1.5, 0.5, -0.5, 0.5, -0.5)  # the camera's pose: it looks ahead
    samples = [
        Sample(
            key=str(number),
            values={"camera": _png(rng, config.camera.size), "radar": write_pcd(_points(rng), POINT_FIELDS)},
            target=target,
            weight=1.0,
        )
        for number in range(8)
    ]
    keras.utils.set_random_seed(0)
    given = Source("drive", build_model(config), modality_specs(config), task, samples)
    settings = ExportConfig(folder=str(tmp_path), formats=("tflite", "onnx"), precisions=("float32",), samples=8)
    report = export_source(given, settings, console=Console(file=io.StringIO()))
    assert report.accepted, [(f.format, f.precision, f.reason) for f in report.files if not f.accepted]
    assert {"all", "without_camera", "without_radar", "stale_radar"} <= set(report.files[0].scenarios)


def _png(rng: np.random.Generator, size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (*size, 3)).astype("uint8")).save(stream, "PNG")
    return stream.getvalue()


def _points(rng: np.random.Generator) -> np.ndarray:
    points = rng.normal(size=(12, len(POINT_FIELDS))).astype("float32")
    points[:, 2] = rng.uniform(5, 40, 12)
    return points


@pytest.mark.parametrize(
    "task", ["regression", *(pytest.param(name, marks=pytest.mark.slow) for name in ("embedding", "multilabel"))]
)
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
