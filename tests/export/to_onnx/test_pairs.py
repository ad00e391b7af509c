"""int8 in small graphs that converters may write: Gemm, shared weights, tables of words, zeros, nothing at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.to_onnx.int8 import OnnxQuantizer, weights_only
from mmkeras.core.errors import ExportError
from mmkeras.runtime.runner import runners

RNG = np.random.default_rng(0)


def constants(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def small(*nodes: Any, weights: dict[str, np.ndarray], folder: Path) -> Path:
    """Write a graph that maps x (batch, 20) to y."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", None])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "small.onnx"
    )
    return folder / "small.onnx"


def test_a_table_of_words_is_int8_with_a_scale_for_each(tmp_path: Path) -> None:
    table = RNG.normal(size=(40, 20)).astype("float32") * np.linspace(0.01, 1, 40, dtype="float32")[:, None]
    path = small(
        helper.make_node("Cast", ["x"], ["ids"], to=TensorProto.INT64),
        helper.make_node("Gather", ["words", "ids"], ["rows"], axis=0),
        helper.make_node("ReduceMean", ["rows"], ["y"], axes=[1], keepdims=0),
        weights={"words": table},
        folder=tmp_path,
    )
    weights_only(path, tmp_path / "weights.onnx")
    stored = constants(tmp_path / "weights.onnx")
    assert stored["words_axis0_scale"].shape == (40,)
    assert "words" not in stored
    ids = {"x": RNG.integers(0, 40, (4, 20)).astype("float32")}
    with runners()["onnx"](path) as before, runners()["onnx"](tmp_path / "weights.onnx") as after:
        np.testing.assert_allclose(after.infer(ids)["y"], before.infer(ids)["y"], atol=2e-3)
    with pytest.raises(ExportError, match="nothing to quantise"):
        OnnxQuantizer(path, ids, tmp_path)


def test_a_cpu_computes_what_the_file_says_and_quantises_nothing_else(tmp_path: Path) -> None:
    path = small(
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        weights={"w": RNG.normal(size=(20, 64)).astype("float32")},
        folder=tmp_path,
    )
    weights_only(path, tmp_path / "weights.onnx")
    x = {"x": RNG.normal(size=(7, 20)).astype("float32")}
    stored = constants(tmp_path / "weights.onnx")
    expected = x["x"] @ (stored["w_axis1_quantized"] * stored["w_axis1_scale"])
    with runners()["onnx"](tmp_path / "weights.onnx") as runner:
        np.testing.assert_allclose(runner.infer(x)["y"], expected, atol=1e-5)


def test_gemm_and_weights_shared_along_two_axes(tmp_path: Path) -> None:
    square = RNG.normal(size=(20, 20)).astype("float32") * np.linspace(0.01, 1, 20, dtype="float32")
    path = small(
        helper.make_node("Gemm", ["x", "w"], ["a"], transB=1),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
        helper.make_node("MatMul", ["x", "w"], ["c"]),
        helper.make_node("Add", ["b", "c"], ["y"]),
        weights={"w": square},
        folder=tmp_path,
    )
    x = {"x": RNG.normal(size=(30, 20)).astype("float32")}
    quantizer = OnnxQuantizer(path, x, tmp_path)
    assert [layer.name for layer in quantizer.layers] == ["a", "b", "c"], "nodes without a name go by their output"
    quantizer.write(tmp_path / "int8.onnx")
    scales = {name: value for name, value in constants(tmp_path / "int8.onnx").items() if name.endswith("_scale")}
    np.testing.assert_allclose(scales["w_axis0_scale"], np.abs(square).max(1) / 127, rtol=1e-6)
    np.testing.assert_allclose(scales["w_axis1_scale"], np.abs(square).max(0) / 127, rtol=1e-6)
    quantizer.write(tmp_path / "kept.onnx", ["a"])
    assert "w" in constants(tmp_path / "kept.onnx")
    with runners()["onnx"](path) as before, runners()["onnx"](tmp_path / "int8.onnx") as after:
        expected = before.infer(x)["y"]
        assert np.abs(after.infer(x)["y"] - expected).max() < 0.05 * np.abs(expected).max()


def test_zeros_everywhere_give_a_file_that_runs(tmp_path: Path) -> None:
    path = small(
        helper.make_node("MatMul", ["x", "w"], ["y"]), weights={"w": np.zeros((20, 13), "float32")}, folder=tmp_path
    )
    x = {"x": np.zeros((3, 20), "float32")}
    OnnxQuantizer(path, x, tmp_path).write(tmp_path / "int8.onnx")
    with runners()["onnx"](tmp_path / "int8.onnx") as runner:
        assert not runner.infer(x)["y"].any()


def test_a_graph_without_weights_is_refused(tmp_path: Path) -> None:
    path = small(
        helper.make_node("MatMul", ["x", "w"], ["y"]), weights={"w": np.ones((20, 2), "float32")}, folder=tmp_path
    )
    with pytest.raises(ExportError, match="nothing to quantise"):
        OnnxQuantizer(path, {"x": np.ones((1, 20), "float32")}, tmp_path)
    with pytest.raises(ExportError, match="nothing to quantise"):
        weights_only(path, tmp_path / "weights.onnx")
