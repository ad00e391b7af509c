"""Faults that converters make, planted in a file on purpose: each must fail, and its cause must be named."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from tests.export.foreign.models import onnx_file, rows_onnx

REFERENCE = "keras"


def faulty(scene, tmp_path, **faults):
    return onnx_file(tmp_path / "faulty.onnx", scene.model, **faults)


@pytest.mark.parametrize(
    ("faults", "option", "words"),
    [
        ({"bgr": True}, "--file-input image=colours=bgr", "BGR"),
        ({"scale": 0.5, "shift": 0.5}, "--file-input image=scale=-1..1", "scale -1..1"),
        ({"scale": 1 / 255}, "--file-input image=scale=0..255", "scale 0..255"),
        ({"bgr": True, "scale": 0.5, "shift": 0.5}, "--file-input image=colours=bgr,scale=-1..1", "BGR order"),
        ({"logits": True}, "--activation file=softmax", "logits"),
        ({"background": True}, "--background file", "background"),
    ],
)
def test_a_declarable_difference_is_found_and_passes_once_declared(scene, verify, tmp_path, faults, option, words):
    file = faulty(scene, tmp_path, **faults)
    found = verify(file, scene.files[REFERENCE], "--target", "colour", "--max-metric-drop", "1")
    assert found.status == 1, found.printed
    assert "NOT ACCEPTED" in found.printed
    best = [finding for finding in found.report["findings"] if finding["agrees"] and finding["side"] == "file"]
    assert [(finding["declare"], words in finding["text"]) for finding in best] == [(option, True)], found.printed
    declared = verify(file, scene.files[REFERENCE], *option.split())
    assert declared.status == 0, declared.printed
    assert declared.report["scenarios"]["all"]["max_abs_diff"] < 1e-5


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"reshaped": True}, "reshaped in place of transposed"),
        ({"order": (2, 0, 1)}, "class 0 is FILE's 1"),
        ({"times": 0.9}, "0.9 times the reference's"),
    ],
)
def test_a_fault_of_the_file_itself_is_named_and_cannot_be_declared(scene, verify, tmp_path, faults, words):
    found = verify(faulty(scene, tmp_path, **faults), scene.files[REFERENCE])
    assert found.status == 1
    best = next(finding for finding in found.report["findings"] if finding["agrees"])
    assert words in best["text"]
    assert best["declare"] == ""


def test_one_changed_weight_fails_and_nothing_is_made_up(scene, verify, tmp_path):
    found = verify(faulty(scene, tmp_path, weight=0.01), scene.files[REFERENCE])
    assert found.status == 1
    assert found.failed == {"all"}
    assert not any(finding["agrees"] for finding in found.report["findings"])


@pytest.mark.parametrize(("faults", "check", "words"), [
    ({"nan": True}, "all", "NaN or infinite"),
    ({"constant": True}, "outputs change", "of FILE is the same on all 40 rows"),
])  # fmt: skip
def test_outputs_without_information_fail(scene, verify, tmp_path, faults, check, words):
    found = verify(faulty(scene, tmp_path, **faults), scene.files[REFERENCE])
    assert found.status == 1
    assert check in found.failed
    assert words in found.printed


@pytest.mark.parametrize("faults", [{"nan": True}, {"constant": True}])
def test_a_file_that_equals_a_useless_reference_fails_too(scene, verify, tmp_path, faults):
    file = faulty(scene, tmp_path, **faults)
    found = verify(file, file)
    assert found.status == 1
    assert ("the reference itself gives" if "nan" in faults else "of FILE and of the reference") in found.printed


def test_outputs_in_another_order_are_found(scene, verify, tmp_path):
    one = onnx_file(tmp_path / "one.onnx", scene.model, twice=True)
    other = onnx_file(tmp_path / "other.onnx", scene.model, twice=True)
    # As a converter names them: by their place.
    for path, names in ((one, ("first", "second")), (other, ("second_output", "first_output"))):
        _renamed(path, dict(zip(("double", "probabilities"), names, strict=True)), reverse=path is other)
    found = verify(one, other)
    assert found.status == 1
    best = next(finding for finding in found.report["findings"] if finding["agrees"])
    declared = verify(one, other, *best["declare"].split())
    assert declared.status == 0, declared.printed


def _renamed(path, names, *, reverse):
    model = onnx.load(str(path))
    for old, new in names.items():
        model.graph.node.append(onnx.helper.make_node("Identity", [old], [new]))
    outputs = [onnx.helper.make_tensor_value_info(new, onnx.TensorProto.FLOAT, ["N", 3]) for new in names.values()]
    del model.graph.output[:]
    model.graph.output.extend(outputs[::-1] if reverse else outputs)
    onnx.save(model, str(path))


@pytest.mark.parametrize(("restored", "accepted"), [(1 / 127, True), (1 / 100, False)])
def test_a_wrong_scale_of_a_quantised_output_fails_though_no_decision_changes(
    scene, verify, tmp_path, restored, accepted
):
    found = verify(faulty(scene, tmp_path, quantised_by=1 / 127, restored_by=restored), scene.files[REFERENCE])
    assert found.report["file"]["precision"].startswith("int8")
    assert found.report["scenarios"]["all"]["flips"] == 0
    assert (found.status == 0) is accepted, found.printed
    assert accepted or ("scale of outputs" in found.failed and "1.27 times" in found.printed)


def test_a_cause_on_the_side_of_the_reference_is_told_by_the_targets(scene, verify):
    wrong = ("--reference-input", "image=colours=bgr")
    found = verify(scene.files["onnx"], scene.files[REFERENCE], "--target", "colour", *wrong)
    assert found.status == 1
    assert {finding["side"] for finding in found.report["findings"]} == {"file", "reference"}
    assert "is given in RGB order" in found.printed


def test_wrong_inputs_on_both_sides_are_accepted_with_a_warning_that_names_the_right_ones(scene, verify):
    wrong = ("--input", "image=scale=caffe,colours=bgr")
    found = verify(scene.files["onnx"], scene.files[REFERENCE], "--target", "colour", *wrong)
    assert found.status == 0
    assert "no better than always the most frequent class" in found.printed, found.printed
    assert "by the targets, the reference has accuracy" in found.printed


def test_another_resizing_is_found(scene, verify, tmp_path):
    rng = np.random.default_rng(5)
    with (tmp_path / "wide.csv").open("w") as stream:
        stream.write("image\n")
        for number in range(12):
            Image.fromarray(rng.integers(0, 256, (16, 40, 3)).astype(np.uint8)).save(tmp_path / f"{number}.png")
            stream.write(f"{number}.png\n")
    options = ("--reference-input", "image=resize=letterbox,fill=114")
    found = verify(scene.files["onnx"], scene.files[REFERENCE], *options, data=tmp_path / "wide.csv")
    assert found.status == 1
    assert any("resize=stretch" in each["declare"] for each in found.report["findings"]), found.printed


def test_an_output_that_the_conversion_lost_fails_until_it_is_left_out(scene, verify, tmp_path):
    reference = onnx_file(tmp_path / "two.onnx", scene.model, twice=True)
    found = verify(scene.files["onnx"], reference)
    assert (found.status, found.failed) == (1, {"outputs"})
    assert "output 'double' of the reference has no partner in FILE" in found.printed
    assert verify(scene.files["onnx"], reference, "--ignore", "double").status == 0


def test_a_layout_that_the_shape_leaves_open_is_found_by_trying(verify, tmp_path):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 3, 3, 2)).astype(np.float32)  # rows, columns, channels, outputs

    def written(name, order):
        arrays = {"w": np.transpose(weights, (*order, 3)).reshape(27, 2), "rows": np.array([-1, 27], np.int64)}
        constants = [
            helper.make_node("Constant", [], [key], value=numpy_helper.from_array(value))
            for key, value in arrays.items()
        ]
        nodes = [helper.make_node("Reshape", ["image", "rows"], ["flat"])]
        nodes += [helper.make_node("MatMul", ["flat", "w"], ["score"])]
        path = rows_onnx(tmp_path / name, ["score"], lambda: constants + nodes, {"image": 27})
        model = onnx.load(str(path))
        for size in (3, 3):
            model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = size
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
        onnx.save(model, str(path))
        return path

    with (tmp_path / "tiny.csv").open("w") as stream:
        stream.write("image\n")
        for number in range(12):
            Image.fromarray(rng.integers(0, 256, (3, 3, 3)).astype(np.uint8)).save(tmp_path / f"{number}.png")
            stream.write(f"{number}.png\n")
    file, reference = written("last.onnx", (0, 1, 2)), written("first.onnx", (2, 0, 1))
    found = verify(file, reference, data=tmp_path / "tiny.csv")
    assert found.status == 1
    assert "the shape allows both layouts" in found.report["inputs"][0]["file_inferred"]
    assert "--file-input image=layout=nhwc" in {each["declare"] for each in found.report["findings"]}, found.printed
    assert verify(file, reference, "--file-input", "image=layout=nhwc", data=tmp_path / "tiny.csv").status == 0
