from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mmkeras.errors import DataError
from mmkeras.geometry import PinholeCamera
from mmkeras.modalities.image.pixels import Window
from mmkeras.modalities.image.spec import Spec
from tests.modalities.image.pictures import bad_files


def _smooth(width: int, height: int) -> Image.Image:
    """A picture without fine detail, which no way of scaling changes much."""
    x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    colours = np.stack([np.sin(5 * x) + y, np.cos(4 * y), np.sin(3 * (x + y))], axis=-1)
    return Image.fromarray(np.uint8(127 + 60 * np.clip(colours, -2, 2)))


def _jpeg(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def _pixels(value: object, box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Window(value, box, size).read()).astype(int)


def test_a_window_is_cut_out_and_black_beyond_the_edge():
    image = _smooth(60, 40)
    whole = np.asarray(image)
    np.testing.assert_array_equal(_pixels(image, (10, 5, 30, 25), (20, 20)), whole[5:25, 10:30])
    over = _pixels(whole, (-10, -4, 50, 36), (40, 60))
    assert not over[:4].any()
    assert not over[:, :10].any()
    np.testing.assert_array_equal(over[4:, 10:], whole[:36, :50])


@pytest.mark.parametrize(("width", "height"), [(320, 200), (321, 203)])
@pytest.mark.parametrize("scale", [1.0, 1.9, 2.0, 2.4, 4.3, 9.0])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_decoded_at_less_than_its_size_is_the_same_picture(width, height, scale, options):
    data = _jpeg(_smooth(width, height), **options)
    decoded = Image.open(io.BytesIO(data)).convert("RGB")
    box = (-3.3, 11.7, -3.3 + 30 * scale, 11.7 + 18 * scale)
    # Compared inside: the black edge is blended with a picture of another resolution.
    difference = np.abs(_pixels(data, box, (18, 30)) - _pixels(decoded, box, (18, 30)))[:-1, 5:-1]
    assert difference.max() <= 6
    assert difference.mean() <= 1.0


@pytest.mark.parametrize("width", [1, 2, 3, 5, 7, 8, 15, 17])
def test_tiny_jpegs(width):
    image = Image.new("RGB", (width, width), (200, 100, 50))
    pixels = _pixels(_jpeg(image), (0, 0, width, width), (1, 1))
    assert np.abs(pixels - (200, 100, 50)).max() <= 3


def test_grey_jpegs_and_arrays():
    grey = _smooth(200, 100).convert("L")
    for scale in (1, 4):
        pixels = _pixels(_jpeg(grey), (20, 20, 20 + 20 * scale, 20 + 10 * scale), (10, 20))
        expected = _pixels(np.asarray(grey), (20, 20, 20 + 20 * scale, 20 + 10 * scale), (10, 20))
        assert np.abs(pixels - expected).max() <= 6


@pytest.mark.parametrize("kind", sorted(bad_files()))
def test_bad_files_are_errors_at_every_scale(kind):
    data, _ = bad_files()[kind]
    for scale in (1, 8):
        with pytest.raises(DataError):
            Window(data, (0, 0, 4 * scale, 4 * scale), (4, 4)).read()


@pytest.mark.parametrize("box", [(70, 0, 90, 20), (-30, 0, 0, 20), (0, -9, 20, 0), (5, 5, 5, 20), (0, 50, 20, 90)])
def test_a_window_beside_the_image(box):
    for value in (_smooth(60, 40), _jpeg(_smooth(60, 40))):
        with pytest.raises(DataError, match="overlaps the image of 60x40"):
            Window(value, box, (2, 2)).read()


def test_a_real_camera_becomes_the_models():
    camera = PinholeCamera(64, 24, 50, 32, 8)
    box = camera.window(np.array([[200.0, 0, 130], [0, 200, 70], [0, 0, 1]]))
    pixels = Spec("camera", height=24, width=64).preprocess(Window(_jpeg(_smooth(256, 144)), box, (24, 64)))["camera"]
    assert (pixels.shape, pixels.dtype) == ((24, 64, 3), np.uint8)
