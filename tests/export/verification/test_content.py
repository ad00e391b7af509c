"""A file holds what its precision says."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.verification.content import content_problem
from export.verification.report import Report
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


@pytest.mark.parametrize(("place", "value", "said"), [(1, 1.1, "another scale"), (2, 64, "a zero point other than 0")])
def test_pairs_of_a_static_onnx_file_agree(report: Report, tmp_path: Path, place: int, value: float, said: str) -> None:
    (path,) = report.folder.glob("edge/*.int8.onnx")
    proto = onnx.load(path)
    activations = [node for node in proto.graph.node if node.op_type == "QuantizeLinear" and not len(node.attribute)]
    name = f"{activations[0].input[place]}_faulty"
    old = next(t for t in proto.graph.initializer if t.name == activations[0].input[place])
    array = onnx.numpy_helper.to_array(old)
    changed = array * np.float32(value) if place == 1 else np.full_like(array, value)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(changed, array.dtype), name))
    activations[0].input[place] = name
    faulty = tmp_path / "faulty.onnx"
    onnx.save(proto, faulty)
    assert content_problem(path, "onnx", "int8") == ""
    assert said in content_problem(faulty, "onnx", "int8")
