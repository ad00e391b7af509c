"""Small ONNX files, and what decides whether a test can run here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmkeras.runtime.tensorrt.cuda import gpus, why_no_gpu
from mmkeras.runtime.tensorrt.library import why_not_here
from mmkeras.runtime.tensorrt.sidecar import BuiltFor, Shapes

RTX = "tensorrt-rtx"
needs_rtx = pytest.mark.skipif(
    bool(why_not_here(RTX, to_run=False)), reason="needs tensorrt-rtx (make setup; it has no wheel for this machine)"
)
needs_gpu = pytest.mark.skipif(
    not gpus(), reason=f"needs an NVIDIA GPU with its driver, and tensorrt or tensorrt-rtx: {why_no_gpu()}"
)
needs_no_gpu = pytest.mark.skipif(bool(gpus()), reason="says what happens without a GPU; here is one")


def write_onnx(path: Path, *, batch: int | str = "batch", operator: str = "", name: str = "") -> Path:
    """Write a file with one layer: values (B, 4) float32 times a matrix, then an operator."""
    last = helper.make_node(operator, ["product"], ["result"], name=name) if operator else None
    nodes = [helper.make_node("MatMul", ["values", "matrix"], ["product"], name="mmkeras_1/head_1/MatMul")]
    nodes.append(last or helper.make_node("Relu", ["product"], ["result"], name="mmkeras_1/head_1/Relu"))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, [batch, 4])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3) - 5, "matrix")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(proto, path)
    return path


@pytest.fixture
def onnx_path(tmp_path: Path) -> Path:
    """A file with a dynamic batch."""
    return write_onnx(tmp_path / "tiny.onnx")


@pytest.fixture
def built() -> BuiltFor:
    """A sidecar of an engine of a Jetson."""
    return BuiltFor(
        engine_sha256="a" * 64,
        engine_bytes=6,
        library="tensorrt",
        library_version="10.3.0",
        gpu="Orin",
        compute_capability="8.7",
        onnx="edge/tiny.float16.onnx",
        onnx_sha256="b" * 64,
        precision="float16",
        profile={"values": Shapes((1, 4), (2, 4), (8, 4))},
        workspace_mib=512,
    )
