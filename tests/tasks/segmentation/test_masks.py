"""Masks as files: what is read, and what is refused by name."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmkeras.core.errors import DataError
from mmkeras.media.image.resizing import resize_rgb
from mmkeras.tasks.segmentation.masks import NOT_ASKED, VOID
from mmkeras.tasks.segmentation.spec import Config, Spec
from tests.tasks.segmentation.scenes import png

LABELS = ("sky", "road", "car")
COLOURS = ("#0000ff", "#808080", "#ff0000")
MASK = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [1, 1, 1, 255]], np.uint8)


def spec(**options: Any) -> Spec:
    return Config(LABELS, **{"size": MASK.shape, **options}).spec()


def test_numbers_a_palette_and_colours_give_the_same_mask(tmp_path: Path) -> None:
    palette = Image.fromarray(MASK).convert("P")
    palette.save(tmp_path / "palette.png")
    drawn = np.array([[0, 0, 255], [128, 128, 128], [255, 0, 0]], np.uint8)[np.where(MASK == 255, 0, MASK)]
    drawn[2, 3] = (0, 0, 0)
    coloured = spec(colours=COLOURS, void_colours=("#000000",))
    for task, raw in ((spec(), png(MASK)), (spec(), MASK), (spec(), str(tmp_path / "palette.png"))):
        np.testing.assert_array_equal(task.encode(raw), MASK)
    np.testing.assert_array_equal(coloured.encode(png(drawn)), MASK)


def test_an_unknown_number_or_colour_is_named_with_its_place(tmp_path: Path) -> None:
    bad = MASK.copy()
    bad[1, 1:3] = 7
    path = tmp_path / "street.png"
    path.write_bytes(png(bad))
    with pytest.raises(
        DataError, match=r"street\.png: Expected class numbers 0 to 2 or void \[255\], got 7 in 2 pixels"
    ):
        spec().encode(str(path))
    with pytest.raises(DataError, match=r"got #00ff00 in row 0, column 0, and 12 such pixels\. Add it to colours"):
        spec(colours=COLOURS).encode(png(np.full((3, 4, 3), (0, 255, 0), np.uint8)))


def test_a_mask_of_another_size_than_its_picture_is_refused(tmp_path: Path) -> None:
    upright = Image.fromarray(np.zeros((3, 4, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    upright.save(stream, "JPEG", exif=exif)
    with pytest.raises(DataError, match="Expected a mask as large as its picture, 3 x 4 pixels, got 4 x 3"):
        spec().encode({"mask": MASK, "picture": stream.getvalue()})
    spec().encode({"mask": MASK, "picture": png(np.asarray(upright))})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (png(np.zeros((3, 4, 3), np.uint8)), "mode RGB. For a mask of colours, set model.task.options.colours"),
        (b"GIF89a", "cannot be read"),
        ("missing.png", "missing.png: Expected a mask as PNG"),
    ],
)
def test_other_files_are_refused(raw: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        spec().encode(raw)


def test_a_jpeg_is_no_mask() -> None:
    stream = io.BytesIO()
    Image.fromarray(MASK).save(stream, "JPEG")
    with pytest.raises(DataError, match="whose pixels are not exact"):
        spec().encode(stream.getvalue())


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "center_crop"])
def test_a_mask_is_resized_in_the_geometry_of_its_picture(resize: str) -> None:
    mask = np.zeros((40, 90), np.uint8)
    mask[10:30, 30:80] = 2
    picture = Image.fromarray(np.repeat((mask * 100)[..., None], 3, axis=2))
    task = Spec(**{**spec(size=(24, 32)).__dict__, "resize": resize})
    encoded = task.encode(mask)
    pixels = resize_rgb(picture, 24, 32, resize)[..., 0]
    car = pixels > 100
    assert (car == (encoded == 2)).mean() > 0.95
    bars = {"letterbox": 24 - round(32 * 40 / 90)}.get(resize, 0)
    assert ((encoded == VOID).all(axis=1)).sum() == bars


def test_what_a_text_does_not_name_is_marked() -> None:
    task = spec(prompt="text")
    asked = task.encode({"mask": MASK, "asked": ["car", "road"]})
    np.testing.assert_array_equal(asked, np.where(MASK == 0, NOT_ASKED, MASK))
    np.testing.assert_array_equal(task.truth(asked[None])[0], np.where(MASK == 0, len(LABELS), MASK))
    np.testing.assert_array_equal(task.encode({"mask": MASK, "asked": None}), MASK)
    assert task.classes_of(asked) == ["road", "car"]
    with pytest.raises(DataError, match=re.escape("asked: Expected labels, got 'cra'; did you mean 'car'")):
        task.encode({"mask": MASK, "asked": ["cra"]})


def test_a_device_without_pillow_still_reads_the_spec() -> None:
    """A prediction of arrays needs no picture files."""
    code = "import sys; sys.modules['PIL'] = None; import mmkeras.tasks.segmentation.spec"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_mask_in_a_format_that_runs_other_programs_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match="Expected a mask as PNG, got a file that cannot be read"):
        spec().encode(str(tmp_path / "m.png"))
