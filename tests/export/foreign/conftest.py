"""A table of pictures and the network of `models` in four formats, made once."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from export.foreign.command import main
from tests.export.foreign.models import CLASSES, keras_model, onnx_file, tflite_file

COUNT = 40


@dataclass(frozen=True)
class Scene:
    """The files."""

    folder: Path
    table: Path
    model: keras.Model
    pictures: np.ndarray
    """float32 (N, 16, 16, 3) on 0..1, as the Keras model reads them."""
    files: dict[str, Path]
    """``keras``, ``onnx``, ``saved_model``, ``tflite``, ``quantised``."""


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("foreign")
    rng = np.random.default_rng(3)
    pixels = []
    for number in range(COUNT):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3)).astype(np.uint8))
        image = coarse.resize((16, 16), Image.Resampling.BICUBIC)
        image.save(folder / f"{number}.png")
        pixels.append(np.asarray(image))
    pictures = np.stack(pixels).astype(np.float32) / 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = keras_model()
        files = {name: folder / name for name in ("saved_model",)}
        files["keras"] = folder / "net.keras"
        model.save(files["keras"])
        model.export(str(files["saved_model"]), verbose=False)
        files["onnx"] = onnx_file(folder / "net.onnx", model)
        files["tflite"] = tflite_file(folder / "net.tflite", model)
        files["quantised"] = tflite_file(folder / "quantised.tflite", model, pictures)
        labels = [CLASSES[place] for place in model.predict(pictures, verbose=0).argmax(axis=1)]
    table = folder / "rows.csv"
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "colour", "camera"])
        for number, label in enumerate(labels):
            # A few wrong labels, so that the metric is not perfect.
            writer.writerow([f"{number}.png", CLASSES[0] if number % 9 == 0 else label, "ab"[number % 4 == 0]])
    return Scene(folder, table, model, pictures, files)


@dataclass(frozen=True)
class Done:
    """A finished command."""

    status: int
    printed: str
    report: dict[str, Any]
    xml: Path

    @property
    def failed(self) -> set[str]:
        return {check["name"] for check in self.report["checks"] if check["problems"]}


@pytest.fixture
def verify(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs the command; the table and quick options are added."""

    def run(file: Path, reference: Path, *options: str, data: Path | None = None) -> Done:
        out, xml = tmp_path / "out.json", tmp_path / "out.xml"
        quick = [] if "--corruptions" in options else ["--corruptions"]
        quick += ["--no-latency"] if "timed" not in options else []
        options = tuple(option for option in options if option != "timed")
        words = [file, "--reference", reference, "--data", data or scene.table, *options, *quick, "--out", out]
        out.unlink(missing_ok=True)
        status = main([*map(str, words), "--junit", str(xml)])
        printed = capsys.readouterr()
        report = json.loads(out.read_text()) if out.exists() else {}
        return Done(status, printed.out + printed.err, report, xml)

    return run
