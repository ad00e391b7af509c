"""Files of every format: their pixels against OpenCV, their limits, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image, features

from mmkeras.core.errors import DataError
from mmkeras.media.image.formats import graph_reads, has_more_frames, open_image
from mmkeras.media.image.pixels import Window, read_rgb
from tests.media.image.pictures import converted_files, file, good_files, picture
from tests.media.image.tiff import tiff

TRANSPARENT = ("webp_alpha", "bmp_alpha", "tiff_alpha", "gif_transparent")
"""OpenCV drops the transparency instead of blending it over white."""
SCALED = "pgm_10_bits"
"""OpenCV does not scale by the largest value that the file states."""
ROUNDED = ("jpeg_cmyk", "jpeg_ycck", "tiff_colours_16_bits", "tiff_alpha_16_bits", "ppm_16_bits")
"""OpenCV rounds where Pillow keeps the upper byte, and converts CMYK in steps of 1/256."""
SIDES = b"\x04\0\1\0\0\0\x08\0\0\0\1\1\x04\0\1\0\0\0\x08\0"
"""Width and height of 8 in a TIFF directory."""
SEVERAL = ("webp_animated", "tiff_pages", "gif_animated", "png_animated")


@pytest.mark.parametrize("kind", sorted(set(converted_files()) - {*TRANSPARENT, SCALED}))
def test_pixels_are_those_of_another_reader(kind):
    data = converted_files()[kind]
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert found is not None
    difference = np.abs(np.asarray(read_rgb(data)).astype(int) - found)
    assert difference.max() <= int(kind.startswith(ROUNDED))


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparency_is_blended_over_white_in_every_format(kind):
    data = converted_files()[kind]
    opened = np.asarray(open_image(data, kind).convert("RGBA")).astype(int)
    colours, opacity = opened[..., :3], opened[..., 3:]
    assert (opacity < 255).mean() > 0
    expected = (colours * opacity + 255 * (255 - opacity)) / 255
    assert np.abs(np.asarray(read_rgb(data)) - expected).max() <= 0.5


def test_a_portable_map_is_scaled_by_the_largest_value_that_it_states():
    values = np.random.default_rng(1).integers(0, 1024, (20, 30), np.uint16)
    found = read_rgb(b"P5 30 20 1023\n" + values.astype(">u2").tobytes())
    expected = np.rint(values / 1023 * 65535).astype(int) >> 8
    assert np.abs(np.asarray(found)[..., 0] - expected).max() == 0


def test_cmyk_is_converted_by_the_formula_that_is_documented():
    inks = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    cyan, key = inks[..., 0].astype(int), inks[..., 3].astype(int)
    for value in (Image.fromarray(inks, "CMYK"), file(Image.fromarray(inks, "CMYK"), "TIFF"), tiff(inks, 5)):
        red = np.asarray(read_rgb(value))[..., 0]
        assert np.abs(red - (255 - cyan) * (255 - key) / 255).max() <= 1


def test_a_window_of_a_cmyk_file_is_scaled_while_it_is_decoded():
    data = file(picture(40, 60).resize((480, 320)).convert("CMYK"), "JPEG", quality=95)
    small = Window(data, (0, 0, 480, 320), (40, 60)).read()
    whole = Window(read_rgb(data), (0, 0, 480, 320), (40, 60)).read()
    assert np.abs(np.asarray(small).astype(int) - np.asarray(whole)).mean() < 3


def test_which_files_the_graph_reads_and_which_have_more_frames():
    keyed = ("png_colour_key", "png_grey_key")
    assert {kind for kind, data in good_files().items() if not graph_reads(data)} == set(keyed)
    assert not [kind for kind, data in converted_files().items() if graph_reads(data)]
    files = good_files() | converted_files()
    assert {kind for kind, data in files.items() if has_more_frames(data)} == set(SEVERAL)


def _extended(width: int, height: int) -> bytes:
    """Return the head of a WebP file with a canvas of a size."""
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + (10).to_bytes(4, "little") + canvas
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def _sized(kind: str, at: int, size: int) -> bytes:
    """Return a file whose header states a width and a height of 20,000 each."""
    data, side = bytearray(file(picture(8, 8), kind)), (20_000).to_bytes(size, "little")
    data[at : at + 2 * size] = side + side
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        _extended(12_000, 12_000),
        _sized("GIF", 6, 2),
        _sized("BMP", 18, 4),
        b"P6 20000 20000 255\n",
        b"P1 20000 20000\n",
        tiff(np.zeros((8, 8), np.uint8), 1).replace(SIDES, SIDES.replace(b"\x08\0", b"\x20\x4e")),
        tiff(np.zeros((8, 8), np.uint8), 1, tile_width=20_000, tile_height=20_000),
    ],
    ids=["webp", "gif", "bmp", "ppm", "pbm", "tiff", "tiff tile"],
)
def test_the_size_is_checked_before_anything_is_decoded(data, monkeypatch):
    from PIL import ImageFile, WebPImagePlugin

    def fail(*_: object) -> None:
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    monkeypatch.setattr(WebPImagePlugin._webp, "WebPAnimDecoder", fail)
    with pytest.raises(DataError, match="larger than"):
        read_rgb(data)


@pytest.mark.parametrize(("feature", "kind"), [("webp", "webp_lossy"), ("libtiff", "tiff_tiff_lzw")])
def test_a_pillow_without_a_format_is_named(feature, kind, monkeypatch):
    check = features.check
    monkeypatch.setattr(features, "check", lambda name: name != feature and check(name))
    with pytest.raises(DataError, match=rf"PIL\.features\.check\('{feature}'\) is False"):
        read_rgb(converted_files()[kind])
    read_rgb(converted_files()["tiff_raw"])


def test_only_the_plugin_of_the_format_is_loaded(tmp_path):
    (tmp_path / "a.tif").write_bytes(converted_files()["tiff_tiff_lzw"])
    (tmp_path / "a.webp").write_bytes(converted_files()["webp_lossy"])
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    code = (
        "import sys\nfrom mmkeras.core.errors import DataError\nfrom mmkeras.media.image.pixels import read_rgb\n"
        "read_rgb('a.tif'), read_rgb('a.webp')\n"
        "try:\n    read_rgb('a.png')\nexcept DataError as error:\n    assert 'EPS is not read' in str(error)\n"
        "else:\n    sys.exit('EPS was read')\n"
        "sys.exit({'PIL.EpsImagePlugin', 'PIL.PsdImagePlugin', 'PIL.FpxImagePlugin'} & set(sys.modules) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
