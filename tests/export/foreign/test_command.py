"""``mmkeras verify`` on whole files: the verdict, the reports, and the messages of wrong use."""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.runtime.cli import main as mmkeras_main
from tests.export.foreign.models import onnx_file

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "verify.schema.json").read_text())


def table(path: Path, scene, rows) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([["image", "colour"], *rows])
    return path


@pytest.mark.parametrize("file", ["onnx", "tflite", "saved_model", "quantised"])
def test_the_same_model_in_another_format_is_accepted(scene, verify, file):
    found = verify(scene.files[file], scene.files["keras"], "--target", "colour", "--slices", "camera")
    assert found.status == 0, found.printed
    whole = found.report["scenarios"]["all"]
    assert (whole["flips"], whole["samples"]) == (0, 40)
    assert whole["flips_high"] == pytest.approx(0.088, abs=0.001)
    assert whole["metric"] == whole["reference_metric"] < 1
    assert whole["intervals"]["change"]["low"] < 0 < whole["intervals"]["change"]["high"]
    assert [part["name"] for part in whole["slices"]] == ["camera = a"]
    assert found.report[("file")]["precision"] == ("int8-full" if file == "quantised" else "float32")


def test_every_scenario_is_compared_and_the_reports_are_valid(scene, verify):
    options = ("--missing", "image=128", "--corruptions", "noise", "blur", "dark", "jpeg", "timed")
    found = verify(scene.files["tflite"], scene.files["keras"], "--target", "colour", *options)
    jsonschema.validate(found.report, SCHEMA)
    assert list(found.report["scenarios"]) == [
        *("all", "without_image", "noise_image", "blur_image", "dark_image", "jpeg_image")
    ]
    assert found.report["latency"]["rounds"] > 1
    root = ElementTree.parse(found.xml).getroot()
    cases = root.findall("testsuite/testcase")
    assert root.get("failures") == "0"
    assert {case.get("name") for case in cases} >= {"rows", "outputs", "outputs change", "all", "without_image"}


def test_junit_names_the_failed_check_and_the_cause(scene, verify, tmp_path):
    file = onnx_file(tmp_path / "a\x1b\u2028.onnx", scene.model, bgr=True)
    found = verify(file, scene.files["keras"])
    jsonschema.validate(found.report, SCHEMA)
    suite = ElementTree.parse(found.xml).getroot().find("testsuite")
    assert suite is not None
    failures = suite.findall("testcase/failure")
    assert suite.get("failures") == str(len(failures)) == "1"
    assert "BGR" in (failures[0].text or "")


def test_bad_rows_are_reported_and_too_many_fail(scene, verify):
    (scene.folder / "broken.png").write_bytes(b"no picture")
    good = [[f"{number}.png", "red"] for number in range(40)]
    bad = [["broken.png", "red"], ["absent.png", "red"], ["", "red"], ["1.png", ""]]
    data = table(scene.folder / "bad.csv", scene, good + bad)
    options = ("--target", "colour", "--labels", str(labels(scene.folder)))
    found = verify(scene.files["onnx"], scene.files["keras"], *options, data=data)
    assert (found.status, found.failed) == (1, {"rows"})
    assert [row["place"] for row in found.report["rows"]["bad"]] == [f"bad.csv:{line}" for line in range(42, 46)]
    assert "absent.png: no such file" in found.printed
    assert verify(scene.files["onnx"], scene.files["keras"], *options, "--max-bad-rows", "10", data=data).status == 0


def labels(folder: Path) -> Path:
    path = folder / "labels.txt"
    path.write_text("blue\ngreen\nred\n")
    return path


def test_a_table_without_usable_rows_fails(scene, verify):
    data = table(scene.folder / "none.csv", scene, [["absent.png", "red"]] * 3)
    found = verify(scene.files["onnx"], scene.files["keras"], "--max-bad-rows", "100", data=data)
    assert (found.status, found.failed) == (1, {"rows"})


def test_a_limit_of_the_metric_needs_a_target(scene, verify):
    found = verify(scene.files["onnx"], scene.files["keras"], "--max-metric-drop", "1")
    assert (found.status, "--target COLUMN" in found.printed) == (2, True)


def test_the_limits_of_the_user_replace_those_of_the_precision(scene, verify, tmp_path):
    file = onnx_file(tmp_path / "near.onnx", scene.model, weight=1e-3)
    options = ("--tolerance", "0.01", "--max-flips", "0")
    assert verify(file, scene.files["keras"], *options).status == 0
    far = onnx_file(tmp_path / "far.onnx", scene.model, bgr=True)
    loose = ("--tolerance", "0.99", "--max-flips", "100", "--target", "colour")
    assert verify(far, scene.files["keras"], *loose).status == 0
    assert verify(far, scene.files["keras"], *loose, "--max-metric-drop", "5").status == 1
    slow = ("--max-latency-ratio", "0.0001", "timed")
    assert verify(scene.files["onnx"], scene.files["keras"], *slow).failed == {"latency"}


def test_truncated_and_misnamed_files_are_refused(scene, verify, tmp_path):
    for name in ("onnx", "tflite", "keras"):
        content = scene.files[name].read_bytes()
        (tmp_path / f"short.{name}").write_bytes(content[: len(content) * 2 // 3])
        found = verify(tmp_path / f"short.{name}", scene.files["keras"])
        assert (found.status, f"short.{name}" in found.printed) == (1, True), found.printed
    shutil.copy(scene.files["keras"], tmp_path / "zip.tflite")
    found = verify(tmp_path / "zip.tflite", scene.files["keras"])
    assert (found.status, "those of a .keras file" in found.printed) == (1, True)
    (tmp_path / "net.pt").touch()
    found = verify(tmp_path / "net.pt", scene.files["keras"])
    assert (found.status, "torch.onnx.export" in found.printed) == (2, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--target", "color"), "did you mean 'colour'"),
        (("--map", "image=imag"), "did you mean 'image'"),
        (("--map", "picture=image"), "no input is called 'picture'"),
        (("--input", "image=colours=gbr"), "Valid: 'bgr', 'grey', 'rgb'"),
        (("--input", "image=mean=0.5"), "mean and std together"),
        (("--input", "image=size=32x32"), "(B, 3, 32, 32)"),
        (("--missing", "picture"), "no input is called"),
        (("--ignore", "output"), "no input or output is called so"),
        (("--pair", "image=picture"), "there is no input 'picture'"),
        (("--activation", "file=relu"), "SIDE=softmax"),
        (("--corruptions", "fog"), "'fog' is unknown"),
        (("--precision", "int4"), "'int4'"),
        (("--slices", "weather"), "--slices names the column 'weather'"),
    ],
)
def test_wrong_use_names_the_option_and_what_is_valid(scene, verify, options, words):
    found = verify(scene.files["onnx"], scene.files["keras"], *options)
    assert (found.status, words in found.printed) == (2, True), found.printed


def test_flex_operations_are_named(scene, verify, tmp_path):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")])
    def serve(image):
        return {"x": tf.sinh(image)}

    module = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    (tmp_path / "flex.tflite").write_bytes(converter.convert())
    found = verify(tmp_path / "flex.tflite", scene.files["keras"])
    assert (found.status, "Flex" in found.printed) == (1, True), found.printed


def test_a_spec_may_be_a_file_and_a_manifest(scene, verify, tmp_path):
    toml = tmp_path / "spec.toml"
    toml.write_text('scale = "0..1"\ncolours = "rgb"\nlayout = "nchw"\n')
    found = verify(scene.files["onnx"], scene.files["keras"], "--file-input", f"image={toml}")
    assert found.status == 0, found.printed
    manifest = tmp_path / "image.json"
    manifest.write_text(json.dumps({"kind": "image", "name": "image", "height": 16, "width": 16, "resize": "stretch"}))
    scaled = onnx_file(tmp_path / "scaled.onnx", scene.model, scale=1 / 255)
    options = ("--file-input", f"image={manifest}", "--file-input", "image=layout=nchw")
    found = verify(scaled, scene.files["keras"], *options)
    assert found.status == 0, found.printed


def test_pictures_may_be_arrays(scene, verify, tmp_path):
    for number, picture in enumerate(scene.pictures):
        np.save(tmp_path / f"{number}.npy", picture)
    data = table(tmp_path / "arrays.csv", scene, [[f"{number}.npy", ""] for number in range(40)])
    found = verify(scene.files["onnx"], scene.files["keras"], data=data)
    assert found.status == 0, found.printed
    wrong = onnx_file(tmp_path / "bgr.onnx", scene.model, bgr=True)
    found = verify(wrong, scene.files["keras"], data=data)
    assert (found.status, "channels reversed" in found.printed) == (1, True)


def test_a_file_of_any_picture_size_needs_one(scene, verify, tmp_path):
    file = onnx_file(tmp_path / "any.onnx", scene.model, sides=("height", "width"))
    found = verify(file, scene.files["keras"])
    assert (found.status, "--input image=size=HEIGHTxWIDTH" in found.printed) == (2, True), found.printed
    assert verify(file, scene.files["keras"], "--input", "image=size=16x16").status == 0


def test_many_rows_are_thinned_out_and_said(scene, verify):
    found = verify(scene.files["onnx"], scene.files["keras"], "--rows", "10")
    assert (found.status, found.report["rows"]["compared"], found.report["rows"]["in_table"]) == (0, 10, 40)
    assert "10 of the 40 rows" in found.printed


def test_slices_that_are_too_small_are_said(scene, verify):
    found = verify(scene.files["onnx"], scene.files["keras"], "--slices", "camera", "--rows", "20")
    assert found.report["warnings"] == [
        "--slices camera: no value has 30 rows or more beside others, so no slice is judged"
    ]


def test_it_is_a_verb_of_the_console_script(scene, capsys):
    words = ["verify", scene.files["onnx"], "--reference", scene.files["keras"], "--data", scene.table, "--corruptions"]
    assert mmkeras_main([*map(str, words), "--no-latency"]) == 0
    assert "ACCEPTED" in capsys.readouterr().out
    mmkeras_main(["--help"])
    assert "verify" in capsys.readouterr().out
