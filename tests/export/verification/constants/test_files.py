"""Constants are read from real files as the engine sees them, and one wrong weight is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from export.formats import formats
from export.to_litert import int8 as litert
from export.to_litert.flatbuffer import read_model, write_model
from export.to_onnx import int8 as onnx_int8
from export.verification.constants.compare import constants_problem
from export.verification.constants.litert_constants import litert_constants
from export.verification.constants.onnx_constants import onnx_constants
from export.verification.report import Report

Files = dict[tuple[str, str], Path]
SMALL = ("float16", "int8-dynamic", "int8-weights", "int8")


@pytest.fixture(scope="module")
def files(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return files by format and precision; the default export has no int8-weights."""
    found = {(f.format, f.precision): report.folder / f.path for f in report.files if f.format != "saved_model"}
    folder = tmp_path_factory.mktemp("weights")
    for format, write in (("tflite", litert.weights_only), ("onnx", onnx_int8.weights_only)):
        path = found[format, "int8-weights"] = folder / f"weights{formats()[format].suffix}"
        write(found[format, "float32"], path)
    return found


@pytest.mark.parametrize("format", ["tflite", "onnx"])
@pytest.mark.parametrize("precision", SMALL)
def test_an_honest_file_holds_the_float32_files_constants(files: Files, format: str, precision: str) -> None:
    read = formats()[format].constants
    assert read is not None
    float32 = read(files[format, "float32"])
    assert len(float32) > 20
    assert constants_problem(read(files[format, precision]), float32) == ""


@pytest.mark.parametrize("precision", SMALL)
def test_one_wrong_weight_of_a_litert_file_is_found(files: Files, precision: str, tmp_path: Path) -> None:
    model = read_model(files["tflite", precision].read_bytes())
    kind = 1 if precision == "float16" else 9
    kernels = [model.buffers[tensor.buffer] for tensor in model.subgraphs[0].tensors if tensor.type == kind]
    buffer = next(buffer for buffer in kernels if buffer.data is not None and len(buffer.data) > 64)
    data = np.array(buffer.data, np.uint8).view(np.float16 if precision == "float16" else np.int8)
    data[5] = data[5] + 0.01 if precision == "float16" else data[5] + (1 if data[5] < 100 else -1)
    buffer.data = data.view(np.uint8)
    path = tmp_path / "faulty.tflite"
    path.write_bytes(write_model(model))
    problem = constants_problem(litert_constants(path), litert_constants(files["tflite", "float32"]))
    assert "1 of " in problem


@pytest.mark.parametrize("precision", SMALL)
def test_a_wrong_scale_or_weight_of_an_onnx_file_is_found(files: Files, precision: str, tmp_path: Path) -> None:
    proto = onnx.load(files["onnx", precision])
    ending = "_scale" if precision.startswith("int8") else ""
    tensor = next(
        t for t in proto.graph.initializer if t.name.endswith(ending) and t.data_type in (1, 10) and np.prod(t.dims) > 7
    )
    values = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array((values * 1.1).astype(values.dtype), tensor.name))
    path = tmp_path / "faulty.onnx"
    onnx.save(proto, path)
    assert constants_problem(onnx_constants(path), onnx_constants(files["onnx", "float32"]))
