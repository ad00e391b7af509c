"""A window of a picture: what the model's camera sees of a real one's."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.media.geometry import PinholeCamera
from mmkeras.media.image.pixels import Window, read_rgb
from mmkeras.modalities.image import records
from mmkeras.modalities.image.spec import Spec
from tests.media.image.pictures import file, picture

pytestmark = pytest.mark.tfio


def _weights(start: float, end: float, size: int, out: int) -> np.ndarray:
    """Return the triangle filter (out, size) that scales from start to end; pixels outside of it are left out."""
    scale = (end - start) / out
    support = max(scale, 1.0)
    centres = start + (np.arange(out) + 0.5) * scale
    pixels = np.arange(int(np.floor(start)), int(np.ceil(end)))
    weights = np.maximum(0, 1 - np.abs(pixels[None] + 0.5 - centres[:, None]) / support)
    weights /= weights.sum(axis=1, keepdims=True)
    result = np.zeros((out, size))
    inside = (pixels >= 0) & (pixels < size)
    result[:, pixels[inside]] = weights[:, inside]
    return result


def _plain(image: Image.Image, box: tuple[float, ...], size: tuple[int, int]) -> np.ndarray:
    pixels = np.asarray(image, np.float64)
    left, top, right, bottom = box
    down = _weights(top, bottom, pixels.shape[0], size[0])
    across = _weights(left, right, pixels.shape[1], size[1])
    return np.einsum("yi,ijc,xj->yxc", down, pixels, across)


def _calm(height: int, width: int) -> Image.Image:
    """Return a picture without details: nothing that decoding at half the size would lose."""
    return picture(24, 32).resize((width, height), Image.Resampling.BICUBIC)


sides = st.floats(-30, 70).flatmap(lambda low: st.tuples(st.just(low), st.floats(4, 120).map(lambda more: low + more)))


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(across=sides, down=sides, size=st.tuples(st.integers(4, 40), st.integers(4, 40)))
def test_a_window_is_what_a_plain_filter_gives(
    across: tuple[float, float], down: tuple[float, float], size: tuple[int, int]
):
    image = picture(60, 80)
    box = (across[0], down[0], across[1], down[1])
    hypothesis.assume(box[0] < 80 and box[1] < 60 and box[2] > 0 and box[3] > 0)
    found = np.asarray(Window(image, box, size).read())
    assert found.shape == (*size, 3)
    # Pillow rounds once between the two directions.
    assert np.abs(found - _plain(image, box, size)).max() <= 1.1


def test_beyond_the_edges_it_is_black():
    white = Image.new("RGB", (40, 20), (255, 255, 255))
    found = np.asarray(Window(white, (-40.0, -20.0, 80.0, 40.0), (30, 60)).read())
    assert (found[11:19, 21:39] == 255).all()
    assert not found[:9].any()
    assert not found[:, :19].any()
    assert not found[21:].any()
    assert not found[:, 41:].any()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_every_form_of_an_image_gives_the_same_window(kind: str, tmp_path: Path):
    data = file(_calm(90, 160), kind, **({"quality": 95} if kind == "JPEG" else {}))
    path = tmp_path / "picture"
    path.write_bytes(data)
    box, size = (10.5, 4.25, 130.5, 84.25), (40, 60)
    expected = np.asarray(Window(read_rgb(data), box, size).read())
    for image in (data, path, str(path), np.asarray(read_rgb(data))):
        # A JPEG of twice the needed size is decoded at half of it.
        apart = np.abs(np.asarray(Window(image, box, size).read()).astype(int) - expected)
        assert apart.mean() < (1.0 if kind == "JPEG" else 1e-9)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("shape", [(288, 512), (283, 509)])
def test_a_large_jpeg_is_decoded_smaller_and_stays_in_place(scale: int, shape: tuple[int, int]):
    data = file(_calm(*shape), "JPEG", quality=95)
    height, width = shape
    box = (0.07 * width, 0.11 * height, 0.93 * width, 0.97 * height)
    size = (int((box[3] - box[1]) / scale), int((box[2] - box[0]) / scale))
    small = np.asarray(Window(data, box, size).read()).astype(int)
    whole = np.asarray(Window(read_rgb(data), box, size).read()).astype(int)
    apart = np.abs(small - whole).mean()
    assert apart < 1.0
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        moved = np.roll(whole, shift, (0, 1))[1:-1, 1:-1]
        assert np.abs(small[1:-1, 1:-1] - moved).mean() > 4 * apart


def test_the_models_camera_sees_points_where_it_projects_them():
    image = np.zeros((200, 400, 3), np.uint8)
    intrinsic = np.array([[300.0, 0, 205.0], [0, 310.0, 90.0], [0, 0, 1]])
    point = np.array([[1.0, 0.5, 10.0]])
    u, v = (intrinsic @ (point[0] / 10))[:2]
    image[int(v) - 3 : int(v) + 4, int(u) - 3 : int(u) + 4] = 255
    camera = PinholeCamera(128, 48, 100, 64, 20)
    window = Window(image, camera.window(intrinsic), (48, 128))
    found = np.asarray(window.read())[..., 0].astype(float)
    y, x = (np.indices(found.shape) * found).sum(axis=(1, 2)) / found.sum() + 0.5
    assert (x, y) == pytest.approx(tuple(camera.project(point)[0]), abs=0.35)


def test_records_and_the_device_hold_the_same_pixels():
    window = Window(file(picture(90, 160), "JPEG"), (-5.0, 10.0, 91.0, 58.0), (24, 48))
    spec = Spec("camera", 24, 48)
    pixels = spec.preprocess(window)["camera"]
    np.testing.assert_array_equal(pixels, np.asarray(window.read()))
    record = records.encode(spec, window)
    np.testing.assert_array_equal(spec.preprocess(record)["camera"], pixels)
    np.testing.assert_array_equal(records.decode(spec, record)["camera"], pixels)


@pytest.mark.parametrize(
    "box", [(50.0, 5.0, 40.0, 20.0), (5.0, 5.0, 5.0, 20.0), (-30.0, 0.0, -1.0, 20.0), (0.0, 60.0, 20.0, 80.0)]
)
def test_a_window_that_is_empty_or_misses_the_image_is_refused(box: tuple[float, float, float, float], tmp_path: Path):
    path = tmp_path / "front.png"
    path.write_bytes(file(picture(60, 80)))
    with pytest.raises(DataError, match=r"front\.png: expected a window that overlaps the image of 80x60"):
        Window(path, box, (8, 8)).read()


def test_errors_name_the_file(tmp_path: Path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(file(picture(400, 600), "JPEG")[:3000])
    for path, reason in ((tmp_path / "nowhere.jpg", "no such file"), (broken, "truncated")):
        for size in ((100, 150), (400, 600)):
            with pytest.raises(DataError, match=rf"{path.name}: .*{reason}"):
                Spec("camera", *size).preprocess(Window(path, (0.0, 0.0, 600.0, 400.0), size))
