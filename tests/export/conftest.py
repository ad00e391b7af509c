"""One tiny model with real images and questions, and one export of it, shared by these tests."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from export.formats import Job
from export.run import export_source
from export.source import Sample, Source
from export.to_litert.litert_from_saved_model import convert_saved_model
from export.verification.report import Report
from export.verification.scenarios import ALL
from export.verification.verify import Reference
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.model import build_model, modality_specs, task_spec
from tests.tiny import WORDS, tiny_model_config

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
SAMPLES = 48
TRAINING = 64


def make_samples(count: int, images: list[Path], seed: int = 0, name: str = "sample") -> list[Sample]:
    """Return samples with real pictures and made-up questions; every eighth lacks one modality."""
    rng = np.random.default_rng(seed)
    samples = []
    for index in range(count):
        text = " ".join(rng.choice(WORDS[5:], rng.integers(1, 6)))
        values: dict[str, Any] = {"image": _png(images[index % len(images)], rng), "text": text}
        if index % 16 == 7:
            values["image"] = None
        if index % 16 == 15:
            values["text"] = None
        samples.append(Sample(f"{name}/{index}", values, np.array(rng.integers(0, 3), np.int32)))
    return samples


def _png(path: Path, rng: np.random.Generator) -> bytes:
    """Return the picture in the model's size with noise, which random weights tell apart."""
    pixels = np.asarray(Image.open(path).convert("RGB").resize((32, 32))).astype(int)
    pixels = np.clip(pixels * rng.uniform(0.2, 1, 3) + rng.integers(-40, 40, pixels.shape), 0, 255)
    stream = io.BytesIO()
    Image.fromarray(pixels.astype("uint8")).save(stream, "PNG")
    return stream.getvalue()


def spread(model: keras.Model, inputs: dict[str, np.ndarray]) -> None:
    """Set the head so that random features lead to clear and different decisions."""
    head = next(layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense))
    features = np.asarray(keras.Model(model.inputs, head.input)(inputs))
    centre = features.mean(0)
    directions = np.linalg.svd(features - centre, full_matrices=False)
    kernel = directions[2][:3].T / (directions[1][:3] / np.sqrt(len(features))) * 2
    head.set_weights([kernel, -centre @ kernel])


def put_in_place(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, convert: Callable[[Job, str, Path], None]
) -> None:
    """Let a format be written by another function."""
    monkeypatch.setattr(module, "FORMAT", dataclasses.replace(module.FORMAT, convert=convert))


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, easy_vqa_images: list[Path]) -> Source:
    """A tiny model with random weights, whose decisions vary, and targets that it mostly gets right."""
    keras.utils.set_random_seed(1)
    config = tiny_model_config(tmp_path_factory.mktemp("tiny"))
    model = build_model(config)
    samples = make_samples(SAMPLES, easy_vqa_images)
    drawn = Source("tiny", model, modality_specs(config), task_spec(config), samples)
    spread(model, Reference(drawn).cases[0].inputs)
    case = Reference(drawn).cases[0]
    assert case.scenario.name == ALL
    decided = case.outputs["probabilities"].argmax(-1)
    assert np.bincount(decided, minlength=3).min() >= 5, "the tiny model has to choose every label"
    right = [
        Sample(s.key, s.values, np.array((d + (i % 10 == 0)) % 3, np.int32))
        for i, (s, d) in enumerate(zip(samples, decided, strict=True))
    ]
    return Source(
        "tiny",
        model,
        drawn.specs,
        drawn.task,
        right,
        {"data_folder": "gone", "data_fingerprint": "f"},
        training=make_samples(TRAINING, easy_vqa_images[1000:], seed=2, name="training"),
    )


@pytest.fixture(scope="session")
def report(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Every format in every precision, exported once."""
    folder = tmp_path_factory.mktemp("saved_models")
    # One decision of the 48 samples is two points.
    config = ExportConfig(folder=str(folder), max_metric_drop=5)
    return export_source(source, config, console=Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def float32(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The LiteRT float32 file of the tiny model."""
    folder = tmp_path_factory.mktemp("float32")
    path = folder / "float32.tflite"
    path.write_bytes(convert_saved_model(Job(source, folder).static_saved_model, "float32"))
    return path
