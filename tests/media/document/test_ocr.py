from __future__ import annotations

from pathlib import Path

import pytest

from mmkeras.core.errors import DataError, DependencyError
from mmkeras.media.document.ocr import read_picture
from mmkeras.media.document.page import read_page


def test_an_unknown_ocr_is_named() -> None:
    with pytest.raises(DataError, match="'tess' is unknown"):
        read_page({"picture": "receipt.png", "ocr": "tess"})


def test_a_picture_is_read_by_rapidocr(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr_onnxruntime", reason="needs the extra ocr: pip install 'mmkeras[ocr]'")
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (420, 160), "white")
    draw = ImageDraw.Draw(image)
    for y, text in ((20, "TOTAL 33.90"), (90, "CASH 50.00")):
        draw.text((30, y), text, fill="black", font=ImageFont.load_default(36))
    image.save(tmp_path / "receipt.png")
    page = read_page({"picture": str(tmp_path / "receipt.png"), "ocr": "rapidocr"})
    assert {"33.90", "50.00"} <= set(" ".join(page.words).replace("TOTAL", "").replace("CASH", "").split())
    assert page.segments.tolist() == sorted(page.segments.tolist())
    assert page.boxes[0, 1] < 0.4 < page.boxes[-1, 1]
    Image.new("RGB", (90, 60), "white").save(tmp_path / "blank.png")
    with pytest.raises(DataError, match="has found no words"):
        read_picture(str(tmp_path / "blank.png"), "rapidocr")


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from mmkeras.media.document import ocr

    ocr._rapidocr.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    with pytest.raises(DependencyError, match=r"mmkeras\[ocr\]"):
        read_picture("receipt.png", "rapidocr")
    ocr._rapidocr.cache_clear()
