"""Files of several inputs: numbers, lists, token ids of a spec; inputs that are missing or not read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mmkeras.modalities.text.spec import Spec as TextSpec
from tests.export.foreign.models import rows_onnx

WEIGHTS = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)


def late_fusion(path: Path, *, lost: str = "", names: tuple[str, str] = ("age_height", "blood")) -> Path:
    """Write a file of two inputs, (N, 2) and (N, 3), and an output (N, 2); ``lost`` is multiplied by zero."""

    def nodes():
        constants = {"w": WEIGHTS, "one": np.float32(lost != names[0]), "two": np.float32(lost != names[1])}
        made = [
            helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value), name))
            for name, value in constants.items()
        ]
        steps = [
            ("Mul", [names[0], "one"], "a"),
            ("Mul", [names[1], "two"], "b"),
            ("MatMul", ["b", "w"], "c"),
            ("Add", ["a", "c"], "score"),
        ]
        return made + [helper.make_node(kind, given, [result]) for kind, given, result in steps]

    return rows_onnx(path, ["score"], nodes, {names[0]: 2, names[1]: 3})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    path = tmp_path / "patients.jsonl"
    rows = [
        {"age": float(a), "height": float(h), "blood": b.round(3).tolist(), "kind": int(a > h)}
        for a, h, b in zip(rng.normal(size=40), rng.normal(size=40), rng.normal(size=(40, 3)), strict=True)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


MAP = ("--map", "age_height=age,height")


def test_numbers_of_several_columns_and_lists(verify, tmp_path, data):
    file = late_fusion(tmp_path / "file.onnx")
    found = verify(file, late_fusion(tmp_path / "reference.onnx"), *MAP, "--missing", "blood=-1", data=data)
    assert found.status == 0, found.printed
    assert found.report["inputs"][0]["columns"] == ["age", "height"]
    assert set(found.report["scenarios"]) == {"all", "without_blood"}
    assert "inputs are read" in {check["name"] for check in found.report["checks"]}


def test_an_input_that_both_sides_ignore_fails_until_it_is_accepted(verify, tmp_path, data):
    file = late_fusion(tmp_path / "file.onnx", lost="blood")
    found = verify(file, file, *MAP, data=data)
    assert (found.status, found.failed) == (1, {"inputs are read"})
    assert found.report["warnings"] == [
        "FILE and the reference are the same file, so the comparison shows nothing about it"
    ]
    assert "input blood changes nothing in FILE and the reference" in found.printed
    assert verify(file, file, *MAP, "--ignore", "blood", data=data).status == 0


def test_an_input_that_the_conversion_lost_fails(verify, tmp_path, data):
    file = late_fusion(tmp_path / "file.onnx", lost="age_height")
    found = verify(file, late_fusion(tmp_path / "reference.onnx"), *MAP, data=data)
    assert (found.status, found.failed) == (1, {"all", "inputs are read"})


def test_an_input_of_equal_values_cannot_be_checked(verify, tmp_path):
    data = tmp_path / "same.jsonl"
    data.write_text("\n".join(json.dumps({"age_height": [n, -n], "blood": [1, 2, 3]}) for n in range(40)))
    file = late_fusion(tmp_path / "file.onnx")
    found = verify(file, file, data=data)
    assert (found.failed, "whether it is read cannot be checked" in found.printed) == ({"inputs are read"}, True)


def test_inputs_are_matched_by_shape_and_by_declaration(verify, tmp_path, data):
    file = late_fusion(tmp_path / "file.onnx", names=("x0", "x1"))
    reference = late_fusion(tmp_path / "reference.onnx")
    found = verify(file, reference, *MAP, "--map", "blood=blood", data=data)
    assert found.status == 0, found.printed
    assert {entry["matched_by"] for entry in found.report["inputs"]} == {"only ones of this shape"}
    found = verify(file, reference, *MAP, "--pair", "x0=age_height", "x1=blood", data=data)
    assert {entry["matched_by"] for entry in found.report["inputs"]} == {"declared"}


def test_regression_has_a_metric_and_no_decisions(verify, tmp_path, data):
    file = late_fusion(tmp_path / "file.onnx")
    options = (*MAP, "--target", "age", "height", "--max-metric-drop", "1")
    found = verify(file, late_fusion(tmp_path / "reference.onnx"), *options, data=data)
    assert found.status == 0, found.printed
    assert (found.report["task"]["metric"], found.report["scenarios"]["all"]["flips"]) == ("relative_mae", None)


def test_rows_that_do_not_fit_an_input_name_the_column_and_the_shape(verify, tmp_path):
    data = tmp_path / "wrong.jsonl"
    rows: list[dict[str, object]] = [{"age_height": [n, -n], "blood": [n, 2, 3]} for n in range(60)]
    rows += [{"age_height": [1], "blood": [1, 2, 3]}, {"age_height": "tall", "blood": [1, 2, 3]}]
    data.write_text("\n".join(map(json.dumps, rows)))
    file = late_fusion(tmp_path / "file.onnx")
    found = verify(file, file, data=data)
    reasons = [row["reason"] for row in found.report["rows"]["bad"]]
    assert "expected an array of shape (2), got (1,)" in reasons[0]
    assert reasons[1].startswith("column 'age_height': expected a number, a list of numbers or a .npy file")


def test_text_needs_a_spec_and_runs_with_one(verify, tmp_path):
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "blue", "green", "not")
    spec = TextSpec("text", max_length=6, vocabulary=words)
    names = [tensor.name for tensor in spec.tensors]
    path = tmp_path / "text.onnx"
    nodes, parts = [], []
    for number, tensor in enumerate(spec.tensors):
        nodes.append(helper.make_node("Cast", [tensor.name], [f"f{number}"], to=onnx.TensorProto.FLOAT))
        nodes.append(helper.make_node("Reshape", [f"f{number}", "rows"], [f"r{number}"]))
        parts.append(f"r{number}")
    nodes += [helper.make_node("Concat", parts, ["joined"], axis=1)]
    kinds = {"int32": onnx.TensorProto.INT32, "float32": onnx.TensorProto.FLOAT}
    graph = helper.make_graph(
        nodes,
        "text",
        [helper.make_tensor_value_info(t.name, kinds[t.dtype], ["N", *t.shape]) for t in spec.tensors],
        [helper.make_tensor_value_info("joined", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([0, -1], np.int64), "rows")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    data = tmp_path / "texts.csv"
    with data.open("w", newline="") as stream:
        texts = ["not red", "blue and green", "green", "red not blue"] * 3
        csv.writer(stream).writerows([["question"], *[[f"{text} {'red ' * n}"] for n, text in enumerate(texts)]])
    found = verify(path, path, "--map", f"{names[0]}=question", data=data)
    assert (found.status, "--input NAME=spec.json" in found.printed) == (2, True)
    spec.save_files(tmp_path)
    manifest = tmp_path / "spec.json"
    manifest.write_text(json.dumps(spec.to_json()))
    options = ("--input", f"text={manifest}", "--map", "text=question", "--missing", "text")
    found = verify(path, path, *options, "--decision", "joined", data=data)
    assert found.status == 0, found.printed
    assert "without_text" in found.report["scenarios"]


def test_exchanged_inputs_are_found(verify, tmp_path):
    def written(name, first, second):
        factor = numpy_helper.from_array(np.array([3.0], np.float32))
        return rows_onnx(
            tmp_path / name,
            ["score"],
            lambda: [
                helper.make_node("Constant", [], ["three"], value=factor),
                helper.make_node("Mul", [second, "three"], ["much"]),
                helper.make_node("Add", [first, "much"], ["score"]),
            ],
            {first: 2, second: 2} if name == "reference.onnx" else {second: 2, first: 2},
        )

    data = tmp_path / "rows.jsonl"
    values = np.random.default_rng(0).normal(size=(20, 4)).round(3)
    data.write_text("\n".join(json.dumps({"left": row[:2].tolist(), "right": row[2:].tolist()}) for row in values))
    file, reference = written("file.onnx", "x0", "x1"), written("reference.onnx", "left", "right")
    options = ("--map", "left=left", "right=right")
    found = verify(file, reference, *options, data=data)
    assert (found.status, {entry["matched_by"] for entry in found.report["inputs"]}) == (1, {"order"})
    best = next(each for each in found.report["findings"] if each["agrees"])
    assert verify(file, reference, *options, *best["declare"].split(), data=data).status == 0


def test_token_ids_are_whole_numbers_of_a_list(verify, tmp_path):
    path = tmp_path / "ids.onnx"
    graph = helper.make_graph(
        [helper.make_node("Cast", ["ids"], ["numbers"], to=onnx.TensorProto.FLOAT)],
        "ids",
        [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["N", 3])],
        [helper.make_tensor_value_info("numbers", onnx.TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    data = tmp_path / "ids.csv"
    with data.open("w", newline="") as stream:
        csv.writer(stream).writerows([["ids"], *[[f"[{n}, 2, 3]"] for n in range(150)], ["[1.5, 2, 3]"]])
    found = verify(path, path, data=data)
    assert found.status == 0, found.printed
    assert "expected whole numbers (int64)" in found.report["rows"]["bad"][0]["reason"]


def test_a_file_of_this_project_has_a_presence_input(scene, verify, tmp_path):
    def nodes():
        return [
            helper.make_node("Cast", ["image"], ["levels"], to=onnx.TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["levels"], ["mean"], axes=[1, 2], keepdims=0),
            helper.make_node("Unsqueeze", ["image_present", "axis"], ["present"]),
            helper.make_node("Mul", ["mean", "present"], ["means"]),
        ]

    path = tmp_path / "ours.onnx"
    graph = helper.make_graph(
        nodes(),
        "ours",
        [
            helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 16, 16, 3]),
            helper.make_tensor_value_info("image_present", onnx.TensorProto.FLOAT, ["N"]),
        ],
        [helper.make_tensor_value_info("means", onnx.TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    manifest = tmp_path / "image.json"
    manifest.write_text(json.dumps({"kind": "image", "name": "image", "height": 16, "width": 16, "resize": "stretch"}))
    found = verify(path, path, "--input", f"image={manifest}", "--missing", "image")
    assert found.status == 0, found.printed
    assert set(found.report["scenarios"]) == {"all", "without_image"}


def test_a_file_that_fails_on_batches_runs_row_by_row(verify, tmp_path, data):
    path = tmp_path / "fixed.onnx"
    rows_onnx(
        path,
        ["score"],
        lambda: [
            helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.array([1, 3], np.int64))),
            helper.make_node("Reshape", ["blood", "one"], ["score"]),
        ],
        {"blood": 3},
    )
    found = verify(path, late_fusion_of_one(tmp_path / "reference.onnx"), data=data)
    assert found.status == 0, found.printed
    assert "fails on batches of more than one sample" in found.printed


def late_fusion_of_one(path: Path) -> Path:
    return rows_onnx(path, ["score"], lambda: [helper.make_node("Identity", ["blood"], ["score"])], {"blood": 3})
