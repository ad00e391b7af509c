"""A tiny bundle with random weights, made in seconds: a picture and a question, answered by every edge format."""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmkeras.bundle import Golden, Manifest, exported_file, write_golden, write_manifest
from mmkeras.core.components import Choice
from mmkeras.core.config import ModelConfig
from mmkeras.modalities.image.spec import Config as ImageConfig
from mmkeras.modalities.text.spec import Config as TextConfig

__all__ = ["FILES", "write_bundle"]

FILES = (("tflite", "float32"), ("tflite", "int8-dynamic"), ("onnx", "float32"))
"""Format and precision of the files."""
_NAME = "tiny"
_WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", "what", "shape", "color", "is", "the", "red", "blue")
_SAMPLES = 24
_ANY_DIFFERENCE = {"all": {"probabilities": [1e9]}}


@dataclass(frozen=True)
class _TinyModel(ModelConfig):
    """An image and a text in width 16."""

    width: int = 16
    fusion: Choice = field(default_factory=lambda: Choice("mean"))
    task: Choice = field(default_factory=lambda: Choice("classification", {"labels": ["no", "red", "yes"]}))
    image: ImageConfig = field(
        default_factory=lambda: ImageConfig(
            size=(32, 32), architecture="edge", width_factor=0.25, depth_factor=0.3, level=3
        )
    )
    text: TextConfig = field(default_factory=TextConfig)


def write_bundle(folder: Path, *, saved_model: bool = True) -> Path:
    """Train nothing, convert an untrained model and return the bundle's folder.

    Its files are not held to a gate: threads are compared with one thread, and not with the Keras model.

    Args:
        folder: where the bundle's folder is made.
        saved_model: write the SavedModel, too.

    Raises:
        DependencyError: the extras train and export are not installed.
    """
    import keras

    from export.formats import Job, formats
    from export.source import Sample, Source
    from mmkeras.model import build_model, modality_specs, task_spec

    bundle, work = folder / _NAME / "1", folder / "work"
    (bundle / "edge").mkdir(parents=True)
    work.mkdir()
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("".join(f"{word}\n" for word in _WORDS), encoding="utf-8")
    text = TextConfig(
        max_length=8, layers=1, heads=2, hidden=16, intermediate=32, dropout=0.0, vocabulary=str(vocabulary)
    )
    keras.utils.set_random_seed(0)
    config = _TinyModel(text=text)
    model, specs, task = build_model(config), modality_specs(config), task_spec(config)
    raw = _raw()
    rows = [{n: v for name, spec in specs.items() for n, v in spec.inputs(values[name]).items()} for values in raw]
    inputs = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    _spread(model, inputs)

    targets = np.zeros(len(raw), np.int32)
    samples = [
        Sample(str(i), values, np.asarray(target)) for i, (values, target) in enumerate(zip(raw, targets, strict=True))
    ]
    job = Job(Source(_NAME, model, specs, task, samples), work)
    known, files = formats(), []
    for name, precision in FILES:
        path = f"edge/{_NAME}.{precision}{known[name].suffix}"
        known[name].convert(job, precision, bundle / path)
        files.append((path, name, precision))
    if saved_model:
        known["saved_model"].convert(job, "float32", bundle)
        files.append((".", "saved_model", "float32"))
    for spec in specs.values():
        spec.save_files(bundle)
    outputs = {name: np.asarray(value) for name, value in model(inputs, training=False).items()}
    keys = tuple(sample.key for sample in samples)
    golden = Golden(keys, ("all",) * len(raw), inputs, outputs, targets, np.arange(len(raw)))
    manifest = Manifest(
        name=_NAME,
        version=1,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        modalities=tuple(spec.to_json() for spec in specs.values()),
        task=task.to_json(),
        files=tuple(
            exported_file(bundle, path, format=name, precision=precision, tolerances=_ANY_DIFFERENCE, accepted=True)
            for path, name, precision in files
        ),
        golden=write_golden(bundle, golden, raw),
    )
    write_manifest(bundle, manifest)
    return bundle


def _raw() -> list[dict[str, Any]]:
    from PIL import Image

    rng = np.random.default_rng(0)
    values = []
    for _ in range(_SAMPLES):
        pixels = np.clip(rng.integers(0, 256, 3) + rng.integers(-60, 60, (48, 40, 3)), 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        values.append({"image": stream.getvalue(), "text": " ".join(rng.choice(_WORDS[5:], rng.integers(1, 6)))})
    return values


def _spread(model: Any, inputs: dict[str, np.ndarray]) -> None:
    """Set the head so that random features lead to different answers: equal ones could not be told apart."""
    import keras

    head = next(layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense))
    features = np.asarray(keras.Model(model.inputs, head.input)(inputs))
    centre = features.mean(0)
    _, sizes, directions = np.linalg.svd(features - centre, full_matrices=False)
    kernel = directions[:3].T / (sizes[:3] / np.sqrt(len(features)))
    head.set_weights([kernel, -centre @ kernel])
