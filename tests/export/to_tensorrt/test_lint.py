"""The operator check: what TensorRT refuses is found without it, and what it takes is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from export.to_tensorrt.lint import lint, lint_file, main, summary
from export.to_tensorrt.rules import VERSIONS
from mmkeras.core.errors import DataError

FLOAT, INT32, INT64, UINT8, BOOL = (getattr(TensorProto, n) for n in ("FLOAT", "INT32", "INT64", "UINT8", "BOOL"))


SHAPE = helper.make_node("Shape", ["x"], ["s"])


def model(*nodes: Any, kind: int = FLOAT, opset: int = 17, shape: Any = ("batch", 4), constants: Any = None) -> Any:
    """Return a model from ``x`` to the last node's output."""
    initializers = [numpy_helper.from_array(np.asarray(v), name) for name, v in (constants or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_empty_tensor_value_info(nodes[-1].output[0])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(operator: str, *inputs: str, name: str = "mmkeras_1/head_1/dense_1/node", **attributes: Any) -> Any:
    return helper.make_node(operator, list(inputs), ["y"], name=name, **attributes)


def said(proto: Any, version: str, *, errors: bool = True) -> str:
    return "\n".join(f.message for f in lint(proto) if f.version == version and f.error == errors)


def test_a_plain_model_has_no_findings():
    assert lint(model(node("Relu", "x"))) == []
    assert summary([]) == {"8.6": [], "10": []}


@pytest.mark.parametrize(
    ("proto", "in_8", "in_10"),
    [
        (model(node("Relu", "x"), opset=18), "opset 18; accepted are 9 to 17", ""),
        (model(node("Relu", "x"), opset=22), "opset 22", "opset 22"),
        (model(node("DynamicQuantizeLinear", "x")), "DynamicQuantizeLinear is not supported", "DynamicQuantizeLinear"),
        (model(node("Hardmax", "x")), "Hardmax is not supported", ""),
        (model(node("LayerNormalization", "x", "s"), constants={"s": np.ones(4, "f")}), "", ""),
        (model(node("FusedMatMul", "x", "x", domain="com.microsoft")), "domain com.microsoft", "domain com.microsoft"),
        (model(node("Relu", "x"), shape=("batch", "n")), "dimensions [1]", "dimensions [1]"),
        (model(node("Transpose", "x"), kind=UINT8), "uint8 input is read by Transpose", "uint8 input"),
        (model(node("Cast", "x", to=FLOAT), kind=UINT8), "", ""),
        (model(node("Einsum", "x", equation="...i->..."), opset=17), "Einsum with an ellipsis", ""),
        (
            model(node("QuantizeLinear", "x", "s", "z"), constants={"s": np.float32(1), "z": np.uint8(3)}),
            "zero point of QuantizeLinear is not 0\nQuantizeLinear with uint8",
            "zero point of QuantizeLinear is not 0",
        ),
        (model(node("QuantizeLinear", "x", "s", "z"), constants={"s": np.float32(1), "z": np.int8(0)}), "", ""),
        (
            model(node("DequantizeLinear", "x", "s"), kind=INT32, constants={"s": np.float32(1)}),
            "bias is quantised to int32",
            "bias is quantised",
        ),
        (
            model(
                helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
                helper.make_node("Cast", ["m"], ["axis"], to=INT64),
                node("CumSum", "x", "axis"),
            ),
            "axis of CumSum is computed",
            "axis of CumSum is computed",
        ),
    ],
)
def test_what_the_parser_refuses(proto: Any, in_8: str, in_10: str):
    for version, expected in (("8.6", in_8), ("10", in_10)):
        found = said(proto, version)
        assert expected in found if expected else not found, (version, found)


@pytest.mark.parametrize(
    ("proto", "in_8", "in_10"),
    [
        (model(node("ReduceMax", "x"), kind=INT32), "ReduceMax of int32", ""),
        (
            model(node("CumSum", "x", "a"), kind=INT32, constants={"a": np.int64(1)}),
            "CumSum of int32",
            "CumSum of int32",
        ),
        (model(node("Equal", "x", "x"), kind=BOOL), "Equal of bool", "Equal of bool"),
        (model(node("Add", "x", "c"), kind=INT64, constants={"c": np.int64(1 << 40)}), "does not fit into 32", ""),
        (model(node("Relu", "x"), kind=INT64), "it is int64, which becomes int32", ""),
        (model(node("NonZero", "x")), "depends on the data", "depends on the data"),
        (
            model(
                helper.make_node("DequantizeLinear", ["w", "s"], ["d"]),
                node("Add", "x", "d"),
                constants={"w": np.array([1], "int8"), "s": np.float32(1)},
            ),
            "weights are stored as int8",
            "",
        ),
        # Shapes are worked out on the host, whatever the operator.
        (model(SHAPE, helper.make_node("ReduceProd", ["s"], ["p"]), node("Cast", "p", to=FLOAT)), "", ""),
    ],
)
def test_what_the_documentation_does_not_promise(proto: Any, in_8: str, in_10: str):
    for version, expected in (("8.6", in_8), ("10", in_10)):
        found = said(proto, version, errors=False)
        assert expected in found if expected else not found, (version, found)


def test_a_finding_names_the_keras_layer_and_a_helper_node_that_of_its_neighbour():
    named = helper.make_node("Relu", ["h"], ["y"], name="mmkeras_1/text_branch_1/norm_1/Relu")
    proto = model(helper.make_node("MatMulInteger", ["x", "x"], ["h"], name="MatMul__12"), named)
    finding = next(f for f in lint(proto) if f.error)
    assert (finding.node, finding.layer) == ("MatMul__12", "text_branch/norm")
    assert summary([finding])["8.6"] == [
        "error: MatMulInteger is not supported (MatMul__12 in the Keras layer text_branch/norm); "
        "use a static int8 file (QDQ); int8-dynamic is for ONNX Runtime"
    ]


def test_nodes_inside_a_loop_are_seen():
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["k"]), helper.make_node("StringNormalizer", ["v"], ["w"], name="inner")],
        "body",
        [helper.make_tensor_value_info(n, t, s) for n, t, s in (("i", INT64, []), ("c", BOOL, []), ("v", FLOAT, [4]))],
        [helper.make_tensor_value_info("k", BOOL, []), helper.make_tensor_value_info("w", FLOAT, [4])],
    )
    proto = model(node("Loop", "n", "t", "x", body=body), constants={"n": np.int64(3), "t": np.array(True)})
    assert "StringNormalizer is not supported" in said(proto, "10")
    assert "Loop is control flow" in said(proto, "10", errors=False)


def test_every_operator_of_8_6_is_one_of_10_and_of_onnx():
    assert VERSIONS["8.6"].operators < VERSIONS["10"].operators
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    old = {"ImageScaler", "ParametricSoftplus", "ScaledTanh"}  # experimental once, and gone
    assert VERSIONS["10"].operators - known <= old
    for parser in VERSIONS.values():
        assert parser.floats_only | parser.takes_bool <= parser.operators


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    good, bad = tmp_path / "good.onnx", tmp_path / "bad.onnx"
    onnx.save(model(node("Relu", "x")), good)
    onnx.save(model(node("MatMulInteger", "x", "x")), bad)
    assert main([str(good)]) == 0
    assert f"{good}: TensorRT 8.6: ok" in capsys.readouterr().out
    assert main([str(good), str(bad)]) == 1
    assert "error: MatMulInteger is not supported" in capsys.readouterr().out
    (tmp_path / "cut.onnx").write_bytes(good.read_bytes()[:40])
    for name, why in (("none.onnx", "not there"), ("cut.onnx", "cut.onnx")):
        assert main([str(tmp_path / name)]) == 2
        assert why in capsys.readouterr().err
    with pytest.raises(DataError, match="holds no graph"):
        lint_file(Path("/dev/null"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(data=st.data())
def test_a_damaged_file_is_checked_or_refused(tmp_path: Path, data: st.DataObject):
    content = bytearray(model(SHAPE, node("CumSum", "x", "s"), constants={"c": np.int64(1)}).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.onnx"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        findings = lint_file(path)
    except DataError:
        return
    assert set(summary(findings)) == set(VERSIONS)
