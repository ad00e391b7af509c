from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from docs.generator import pictures
from tests.runtime import conftest as bundles

# The fixtures that make a real bundle.
exported = bundles.exported
images = bundles.images


def test_a_prediction_is_drawn_from_the_file_of_a_bundle(exported: Path):
    with Image.open(io.BytesIO(pictures.prediction(exported, "float32"))) as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000
        assert sum(map(bool, picture.convert("L").histogram())) > 20


def test_a_missing_report_is_named(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(pictures, "prediction", lambda place: _picture())
    assert pictures.main(["--run", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "report.html is missing. make demo writes it" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "report.png").exists()


def test_without_a_browser_the_error_says_what_to_install(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "report.html").write_text("<html>")
    monkeypatch.setattr(pictures, "prediction", lambda place: _picture())
    monkeypatch.setattr(pictures.shutil, "which", lambda name: None)
    assert pictures.main(["--run", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "apt-get install chromium" in " ".join(capsys.readouterr().err.split())


def test_a_picture_that_is_too_large_is_refused(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(pictures, "prediction", lambda place: _picture())
    monkeypatch.setattr(pictures, "_report", lambda run: _picture())
    monkeypatch.setattr(pictures, "LARGEST", 20)
    assert pictures.main(["--out", str(tmp_path)]) == 2
    assert "expected a picture of at most 20 bytes" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["prediction", "report"])
def test_the_pictures_of_the_checkout_are_whole(name: str):
    with Image.open(pictures.PICTURES / f"{name}.png") as picture:
        picture.load()
        assert picture.width > 600


def _picture() -> bytes:
    """Return a PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(buffer, "PNG")
    return buffer.getvalue()
