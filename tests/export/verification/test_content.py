"""A file holds what its precision says."""

from __future__ import annotations

import itertools

import pytest

from export.verification.content import content_problem
from export.verification.results import Report
from mmkeras.bundle import Bundle


def test_every_file_holds_its_own_precision_and_no_other(report: Report) -> None:
    bundle = Bundle.open(report.folder)
    files = [file for file in bundle.files if file.format in ("tflite", "onnx")]
    assert len(files) >= 8
    for file, other in itertools.product(files, files):
        if file.format == other.format:
            found = content_problem(report.folder / file.path, file.format, other.precision)
            assert (found == "") == (file.precision == other.precision), (file.path, other.precision, found)


def test_what_is_not_read_is_not_judged(report: Report) -> None:
    assert content_problem(report.folder, "saved_model", "float32") == ""


@pytest.mark.parametrize("precision", ["int8-weights", "int8-dynamic"])
def test_the_message_says_what_the_file_holds(report: Report, precision: str) -> None:
    (path,) = report.folder.glob("edge/*.float32.tflite")
    assert "its constants are" in content_problem(path, "tflite", precision)
    assert "bytes of float32" in content_problem(path, "tflite", precision)
