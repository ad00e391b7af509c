"""A real file of another tool: the quantised MobileNet of Google, against its own weights in a Keras model."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.export.foreign.mobilenet import keras_from_tflite, swap_colours

SPEC = ("--reference-input", "image=scale=-1..1")


@pytest.fixture(scope="module")
def real(shared_data: Callable[[str], Path], tmp_path_factory) -> Path:
    """Return a folder with the file, a table of 32 views of two photos, and both Keras models."""
    folder = tmp_path_factory.mktemp("mobilenet")
    source = shared_data("litert_models") / "litert_models"
    file = folder / "mobilenet.tflite"
    file.write_bytes((source / "mobilenet_v1_0.25_128_quant.tflite").read_bytes())
    rows: list[list[str]] = []
    for photo in ("cat_720p.jpg", "hot_dog.jpg"):
        image = Image.open(source / photo).convert("RGB")
        image.thumbnail((512, 512))
        for share, across, down in itertools.product((0.9, 0.7), (0, 0.3, 0.6, 1), (0, 1)):
            size = int(image.width * share), int(image.height * share)
            left, top = int((image.width - size[0]) * across), int((image.height - size[1]) * down)
            name = f"{len(rows)}.png"
            image.crop((left, top, left + size[0], top + size[1])).save(folder / name)
            rows.append([name, photo])
    with (folder / "views.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["picture", "photo"], *rows])
    model = keras_from_tflite(file)
    model.save(folder / "same.keras")
    swap_colours(model)
    model.save(folder / "bgr.keras")
    return folder


def test_the_real_file_is_accepted_against_its_weights_in_keras(real, verify):
    options = (*SPEC, "--max-flips", "20", "--slices", "photo")
    found = verify(real / "mobilenet.tflite", real / "same.keras", *options, data=real / "views.csv")
    assert found.status == 0, found.printed
    assert "scale -1..1 from the quantisation" in found.report["inputs"][0]["file_inferred"]
    assert found.report["file"]["precision"] == "int8-full"
    whole = found.report["scenarios"]["all"]
    assert whole["flips"] <= 6
    assert 0 < whole["max_abs_diff"] < 0.12


def test_bgr_swapped_on_purpose_is_caught_and_named(real, verify):
    found = verify(real / "mobilenet.tflite", real / "bgr.keras", *SPEC, data=real / "views.csv")
    assert found.status == 1
    assert found.report["scenarios"]["all"]["flips"] > 28
    best = found.report["findings"][0]
    assert (best["agrees"], best["declare"].endswith("=colours=bgr"), "BGR order" in best["text"]) == (True, True, True)
    declared = ("--reference-input", "image=scale=-1..1,colours=bgr", "--max-flips", "20")
    assert verify(real / "mobilenet.tflite", real / "bgr.keras", *declared, data=real / "views.csv").status == 0
