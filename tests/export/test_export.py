"""One export of everything: what lies in the bundle and what export.json says about it."""

from __future__ import annotations

import importlib.resources
import json

import jsonschema
import numpy as np
import pytest

from export.formats import formats, plan
from export.source import Source
from export.verification.report import Report
from mmkeras.bundle import Bundle
from mmkeras.core.errors import ConfigError
from mmkeras.runtime.selftest import selftest

pytestmark = pytest.mark.tfio

ALL_FILES = {("saved_model", "float32")} | {
    (format, precision) for format in ("tflite", "onnx") for precision in ("float32", "float16", "int8-dynamic", "int8")
}


def test_every_file_is_written_and_accepted(report: Report) -> None:
    assert {(file.format, file.precision) for file in report.files} == ALL_FILES
    assert report.accepted, [file.reason for file in report.files]
    names = {path.name for path in report.folder.iterdir()}
    assert {"saved_model.pb", "variables", "model.keras", "edge", "golden", "golden.npz", "manifest.json"} <= names
    assert not [name for name in names if name.startswith(".") or name == "rejected"]
    assert [path.name for path in report.folder.parent.iterdir()] == ["1"]


def test_export_json_keeps_to_its_schema_and_agrees_with_manifest_and_disk(report: Report) -> None:
    content = json.loads((report.folder / "export.json").read_text("utf-8"))
    schema = json.loads((importlib.resources.files("mmkeras") / "schemas/export.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(content)
    bundle = Bundle.open(report.folder)
    assert bundle.verify() == {}
    in_manifest = {file.path: (file.bytes, file.sha256, file.accepted) for file in bundle.files}
    assert {f["path"]: (f["bytes"], f["sha256"], f["accepted"]) for f in content["files"]} == in_manifest
    for entry in content["files"]:
        expected = {
            "all",
            "without_image",
            "without_text",
            "empty_text",
            "longest_text",
        }
        if entry["format"] == "saved_model":
            expected |= {"raw", "raw_without_image", "raw_without_text"}
        if entry["format"] == "onnx":
            expected |= {"batched"}
        assert set(entry["scenarios"]) == expected
        assert {scenario["samples"] for scenario in entry["scenarios"].values()} == {entry["samples"]}


def test_the_schema_refuses_an_accepted_file_with_nan_and_a_rejected_one_without_reason(report: Report) -> None:
    schema = json.loads((importlib.resources.files("mmkeras") / "schemas/export.schema.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    for change in ({"max_abs_diff": None}, {"accepted": False}, {"samples": 0}, {"sha256": "?"}):
        content = report.to_json()
        content["files"][0] |= change
        assert not validator.is_valid(content), change


def test_int8_and_float16_differ_from_float32_so_that_the_numbers_are_not_copies(report: Report) -> None:
    for format in ("tflite", "onnx"):
        by_precision = {file.precision: file for file in report.files if file.format == format}
        diffs = [file.max_abs_diff for file in by_precision.values()]
        assert diffs[0] < 1e-5 < min(diffs[1:]), diffs
        assert len({file.sha256 for file in by_precision.values()}) == len(set(diffs)) == len(diffs)


def test_golden_samples_are_the_keras_models_answers(report: Report, source: Source) -> None:
    golden = Bundle.open(report.folder).golden()
    assert set(golden.scenarios) == {
        "all",
        "without_image",
        "without_text",
        "empty_text",
        "longest_text",
        "probes",
    }
    outputs = source.model(golden.inputs, training=False)
    for name, value in golden.outputs.items():
        np.testing.assert_allclose(np.asarray(outputs[name]), value, atol=1e-6)
    keys = {sample.key: sample.target for sample in source.samples}
    real = [row for row, scenario in enumerate(golden.scenarios) if scenario != "probes"]
    np.testing.assert_array_equal([keys[golden.keys[row]] for row in real], golden.targets[real])


def test_the_bundle_proves_itself_on_the_device_side(report: Report) -> None:
    assert selftest(Bundle.open(report.folder)).passed


def test_formats_are_found_by_module_name_and_wrong_names_are_answered() -> None:
    assert set(formats()) == {"saved_model", "tflite", "onnx"}
    assert [(f.name, p) for f, p in plan(["onnx", "saved_model"], ["float16"])] == [("onnx", ["float16"])]
    with pytest.raises(ConfigError, match="did you mean 'tflite'"):
        plan(["tflit"], ["float32"])
    with pytest.raises(ConfigError, match="int8-dynamic"):
        plan(["tflite"], ["int8-dynamics"])
    with pytest.raises(ConfigError, match="None of the formats"):
        plan(["saved_model"], ["float16"])
