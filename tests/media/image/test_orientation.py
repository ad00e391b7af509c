from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from mmkeras.media.image.pixels import Window, read_rgb, read_size
from mmkeras.modalities.image import records
from mmkeras.modalities.image.picture import image as shown
from mmkeras.modalities.image.spec import Spec
from tests.media.image.pictures import file, picture, turned


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_reader_sees_the_picture_as_viewers_show_it(kind, value, tmp_path):
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = file(picture(40, 60), kind, exif=turned(value), **options)
    (tmp_path / "a").write_bytes(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    height, width = expected.shape[:2]
    spec = Spec("image", height, width)
    readings = {
        "bytes": read_rgb(data),
        "path": read_rgb(tmp_path / "a"),
        "Pillow image": read_rgb(Image.open(io.BytesIO(data))),
        "window": Window(data, (0, 0, width, height), (height, width)).read(),
        "report": shown(data),
        "device": spec.preprocess(data)["image"],
        "training": records.decode(spec, tf.constant(records.encode(spec, data)))["image"],
    }
    for name, pixels in readings.items():
        np.testing.assert_array_equal(np.asarray(pixels), expected, err_msg=name)
    assert read_size(tmp_path / "a") == (width, height)


def test_a_small_window_of_a_turned_picture_is_one_of_the_upright_picture():
    data = file(picture(300, 400), "JPEG", exif=turned(6))
    box, size = (0.0, 0.0, 300.0, 200.0), (20, 30)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(Window(data, box, size).read(), Window(upright, box, size).read())


def test_nothing_in_the_file_says_so_after_a_picture_was_turned():
    image = Image.open(io.BytesIO(file(picture(), "JPEG", exif=turned(6))))
    once = read_rgb(image)
    np.testing.assert_array_equal(read_rgb(once), once)
