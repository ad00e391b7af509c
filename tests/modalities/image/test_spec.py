from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import ConfigError, DataError
from mmkeras.modalities import spec_from_json
from mmkeras.modalities.image.spec import Config, Spec
from tests.media.image.pictures import bad_files, file, good_files, picture

SPEC = Spec("camera", height=48, width=32)


def test_every_raw_form_gives_the_same_pixels(tmp_path):
    image = picture(48, 32)
    (tmp_path / "a.png").write_bytes(file(image))
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), file(image), image, np.asarray(image)]
    for form in forms:
        pixels = SPEC.preprocess(form)["camera"]
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize("kind", sorted(good_files()))
@pytest.mark.parametrize("resize", ["stretch", "letterbox", "center_crop"])
def test_every_kind_of_file_gets_the_shape(kind, resize):
    spec = Spec("image", height=33, width=47, resize=resize)
    pixels = spec.preprocess(good_files()[kind])["image"]
    assert (pixels.shape, pixels.dtype) == ((33, 47, 3), np.uint8)


@pytest.mark.parametrize("kind", sorted(bad_files()))
def test_bad_files_are_named_with_the_reason(kind, tmp_path):
    data, reason = bad_files()[kind]
    path = tmp_path / f"{kind}.bin"
    path.write_bytes(data)
    for value, name in ((path, path.name), (data, "file" if not data else f"{len(data)} bytes")):
        with pytest.raises(DataError, match=reason) as caught:
            SPEC.preprocess(value)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        3,
        ["a.png"],
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4,), np.uint8),
        Image.new("LAB", (4, 4)),
        Image.new("RGB", (0, 4)),
        "no/such/file.png",
        ".",
        "nul\0byte.png",
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_wrong_values(value):
    with pytest.raises(DataError):
        SPEC.preprocess(value)


def test_letterbox_shows_everything_and_center_crop_fills():
    white = Image.new("RGB", (100, 50), "white")
    boxed = Spec("image", height=40, width=40, resize="letterbox").preprocess(white)["image"]
    assert (boxed[10:30] == 255).all()
    assert (boxed[:10] == 0).all()
    assert (boxed[30:] == 0).all()
    half = np.zeros((50, 100, 3), np.uint8)
    half[:, 25:75] = 255
    assert (Spec("image", height=40, width=40, resize="center_crop").preprocess(half)["image"] == 255).all()


def test_missing_modality_is_zeros_with_presence_zero():
    inputs = SPEC.inputs(None)
    assert inputs["camera_present"] == 0
    assert not inputs["camera"].any()
    assert SPEC.inputs(picture())["camera_present"] == 1


def test_json_round_trip(tmp_path):
    spec = Config(size=(48, 32), resize="letterbox").spec("front")
    assert spec_from_json(spec.to_json(), tmp_path) == spec


def test_configuration_reports_every_problem_at_once():
    with pytest.raises(ConfigError) as caught:
        Config(size=(0, 32), resize="crop", architecture="EfficientNetB9", brightness=2.0)  # type: ignore[arg-type]
    for word in ("size", "resize", "architecture", "brightness", "center_crop", "EfficientNetB0"):
        assert word in str(caught.value)


def test_no_tensorflow_on_the_device():
    code = "import sys, mmkeras.modalities.image.spec; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
