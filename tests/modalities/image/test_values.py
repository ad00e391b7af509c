"""What people hand over for an image: it is used or named shortly with what to do, and never changed."""

from __future__ import annotations

import base64
import copy
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.modalities.image.spec import Spec
from tests.media.image.pictures import file, picture

pytestmark = pytest.mark.tfio

SPEC = Spec("image", height=16, width=24)
PICTURE = picture(48, 32)
CONTENT = file(PICTURE)


def _palette() -> Image.Image:
    image = PICTURE.quantize(8)
    image.info["transparency"] = 0
    return image


@pytest.mark.parametrize(
    "value",
    [np.asarray(PICTURE).copy(), np.asarray(PICTURE.convert("L")).copy(), bytearray(CONTENT), io.BytesIO(CONTENT)],
    ids=["array", "grey array", "bytearray", "BytesIO"],
)
def test_values_are_never_changed(value):
    before = copy.deepcopy(value)
    SPEC.preprocess(value)
    if isinstance(value, io.BytesIO):
        assert (value.getvalue(), value.tell()) == (before.getvalue(), before.tell())
    else:
        np.testing.assert_array_equal(np.asarray(value), np.asarray(before))


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P"])
def test_an_image_of_the_caller_is_never_changed(mode):
    image = _palette() if mode == "P" else PICTURE.convert(mode)
    before = (image.mode, image.size, dict(image.info), image.tobytes())
    SPEC.preprocess(image)
    assert (image.mode, image.size, dict(image.info), image.tobytes()) == before


def test_one_channel_is_grey():
    grey = np.asarray(PICTURE.convert("L"))
    np.testing.assert_array_equal(SPEC.preprocess(grey[..., None])["image"], SPEC.preprocess(grey)["image"])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (base64.b64encode(CONTENT * 99).decode(), r"an image in base64 of [\d,]+ characters: decode it"),
        ("/9j/" + "A" * 500, "an image in base64 of 504 characters: decode it"),
        ("data:image/png;base64," + base64.b64encode(CONTENT).decode(), r"a data URL of [\d,]+ characters: decode"),
        ("http://127.0.0.1:9/a.png", "a URL of 24 characters: URLs are not opened"),
        ("x" * 10_000, "text of 10,000 characters"),
        (f"{'folder/' * 100}cat.png", r"^\.\.\./cat\.png: no such file"),
        (np.asarray(PICTURE)[None], "That is a batch: give one image at a time"),
        (np.asarray(PICTURE).transpose(2, 0, 1), "Channels come last"),
        (np.dstack([np.asarray(PICTURE), np.asarray(PICTURE)[..., :1]]), "leave out the fourth channel"),
        (np.asarray(PICTURE) / 255, "Scale its values to 0..255"),
        (np.asarray(PICTURE).tolist(), r"Expected an image as path, bytes of a file \(JPEG, PNG, .*\), Pillow image"),
        (float("nan"), "Expected an image as path"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_used_is_named_shortly_with_what_to_do(value, told):
    with pytest.raises(DataError, match=told) as caught:
        SPEC.preprocess(value)
    assert len(str(caught.value)) < 250


def test_a_file_that_pillow_has_not_read_yet_is_read_once_for_all_threads(tmp_path: Path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)).save(path)
    expected = SPEC.preprocess(path)["image"]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            lazy = Image.open(path)
            for found in pool.map(lambda image: SPEC.preprocess(image)["image"], [lazy] * 8):
                np.testing.assert_array_equal(found, expected)
