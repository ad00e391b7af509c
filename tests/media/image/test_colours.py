from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.media.image.pixels import read_rgb
from tests.media.image.pictures import alpha, file, picture


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_blended_over_white(mode):
    image = alpha(mode)
    shape = 255 - np.asarray(image.getchannel("A")).astype(int)
    for value in (image, file(image)):
        np.testing.assert_array_equal(np.asarray(read_rgb(value)), np.stack([shape] * 3, axis=-1))


def test_opaque_and_palette_images_keep_their_colours():
    palette = picture().quantize(16)
    np.testing.assert_array_equal(read_rgb(picture().convert("RGBA")), picture())
    np.testing.assert_array_equal(read_rgb(file(palette)), palette.convert("RGB"))
    seen = np.asarray(read_rgb(file(palette, transparency=3)))
    assert (seen[np.asarray(palette) == 3] == 255).all()
    np.testing.assert_array_equal(
        seen[np.asarray(palette) != 3], np.asarray(palette.convert("RGB"))[np.asarray(palette) != 3]
    )


def test_reading_changes_nothing_of_the_image_that_was_given():
    palette = picture().quantize(16)
    palette.info["transparency"] = 3
    read_rgb(palette)
    assert palette.mode == "P"
    assert palette.info["transparency"] == 3


def test_of_16_bits_the_upper_byte_is_kept():
    values = np.random.default_rng(0).integers(0, 65536, (8, 8), np.uint16)
    for value in (Image.fromarray(values), file(Image.fromarray(values))):
        np.testing.assert_array_equal(np.asarray(read_rgb(value))[..., 0], values >> 8)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8)),
        Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)),
        Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 200),
        picture().convert("HSV"),
    ],
    ids=lambda image: image.mode,
)
def test_what_would_be_blackened_or_changed_is_refused(image):
    with pytest.raises(DataError, match=r"Scale|Convert"):
        read_rgb(image)
