from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkeras.bundle import Bundle, exported_file, write_manifest
from mmkeras.core.errors import BundleError, DataError
from mmkeras.runtime.cli import main
from mmkeras.runtime.differences.compare import compare
from mmkeras.runtime.differences.contents import part_of
from mmkeras.runtime.differences.read import read_contents
from mmkeras.runtime.differences.report import diff_tables, summary
from mmkeras.storage.files import write_json
from tests.tolerances import everywhere


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("mmkeras_1/image_branch_1/edge_1/conv/kernel", "image"),
        ("mmkeras_1/front_camera_branch_1/x;mmkeras_1/fusion_norm_1/y", "front_camera"),
        ("mmkeras_1/text_null_token_1/Const", "text"),
        ("mmkeras_1/fusion_cross_1/value", "fusion"),
        ("head_depth_1/convolution", "head"),
        ("arith.constant12", "other"),
        ("", "other"),
    ],
)
def test_parts_of_a_model(name: str, part: str):
    assert part_of(name) == part


def test_what_files_are_made_of(exported: Path):
    tflite = read_contents(exported / "edge/tiny.float32.tflite", "tflite")
    half = read_contents(exported / "edge/tiny.float16.tflite", "tflite")
    onnx = read_contents(exported / "edge/tiny.float32.onnx", "onnx")
    assert tflite
    assert half
    assert onnx
    assert tflite.operators["CONV_2D"] == onnx.operators["Conv"] == 1
    assert tflite.operators["SOFTMAX"] == onnx.operators["Softmax"] == 1
    # Convolution 3x3x3x8, embedding 11x8, dense 16x3; the converters drop biases of zeros.
    weights = 4 * (216 + 88 + 48)
    assert weights <= tflite.types["float32"] < weights + 200
    assert weights <= onnx.types["float32"] < weights + 200
    assert half.types["float16"] * 2 >= weights - 400
    assert read_contents(exported / "manifest.json", "saved_model") is None


def test_the_engine_counts_the_same_operators(exported: Path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="pip install 'mmkeras[litert]'")
    path = exported / "edge/tiny.float32.tflite"
    found = read_contents(path, "tflite")
    assert found
    details = interpreter.Interpreter(
        str(path), experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )._get_ops_details()
    assert sum(found.operators.values()) == len(details)
    assert set(found.operators) == {detail["op_name"] for detail in details}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize(("name", "format"), [("float32.tflite", "tflite"), ("float32.onnx", "onnx")])
def test_damaged_files_are_an_error_of_ours(
    exported: Path, tmp_path: Path, name: str, format: str, data: st.DataObject
):
    content = bytearray((exported / f"edge/tiny.{name}").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    path = tmp_path / "x"
    path.write_bytes(content)
    try:
        read_contents(path, format)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017


def changed(folder: Path) -> Bundle:
    """Make a second version: another float32 file, no float16 file, other metrics, data, labels and packages."""
    bundle = Bundle.open(folder)
    (folder / "edge/tiny.float32.tflite").write_bytes((folder / "edge/tiny.float16.tflite").read_bytes())
    files = []
    for file in bundle.files:
        if file.precision == "float16":
            continue
        if file.path == "edge/tiny.float32.tflite":
            file = exported_file(
                folder, file.path, format="tflite", precision="float32", tolerances=everywhere(1.0), accepted=True
            )
        files.append(file)
    task = {**bundle.manifest.task, "labels": ["circle", "blue", "square"]}
    provenance = {
        "metrics": {"accuracy": {"value": 0.9, "low": 0.88, "high": 0.92, "method": "bootstrap"}},
        "packages": {"keras": "4.0"},
        "data_fingerprint": "other",
        "config": {"train": {"epochs": 3}, "data": {"train_share": 0.5}},
        "notice": "Simulated numbers.",
    }
    write_manifest(
        folder, dataclasses.replace(bundle.manifest, version=2, files=tuple(files), task=task, provenance=provenance)
    )
    write_json(folder / "benchmark.json", {"files": [{"format": "onnx", "precision": "float32", "p50_ms": 1.5}]})
    write_json(folder / "export.json", {"reference": {"all": 0.9}, "files": []})
    return Bundle.open(folder)


def test_what_changed(bundle: Bundle, folder: Path):
    value = compare(bundle, changed(folder))
    json.dumps(value, allow_nan=False)
    states = {name: file["state"] for name, file in value["files"].items()}
    assert states == {
        "tflite float32": "changed",
        "tflite float16": "removed",
        "onnx float32": "same",
        "tflite int8-dynamic": "same",
    }
    file = value["files"]["tflite float32"]
    # So small a file's size also follows the length of a temporary path in it: only what stands in the bundles holds.
    before = next(each.bytes for each in bundle.files if (each.format, each.precision) == ("tflite", "float32"))
    assert file["bytes"][0] == before
    assert file["types"]["float16"][1] is not None
    assert file["types"]["float16"][0] is None
    assert file["operators"]["DEQUANTIZE"][0] is None
    assert value["files"]["onnx float32"]["p50_ms"] == [None, 1.5]
    assert value["files"]["onnx float32"]["operators"] == {}
    assert value["metrics"]["accuracy"]["value"] == [0.5, 0.9]
    assert value["metrics"]["accuracy"]["intervals_apart"] is None
    assert value["interface"] == {"task.labels": [["circle", "red", "square"], ["circle", "blue", "square"]]}
    assert value["data"] == {"fingerprint": [None, "other"], "train_share": [None, 0.5]}
    assert value["settings"] == {"train.epochs": [None, 3]}
    assert value["packages"] == {"keras": [None, "4.0"]}
    assert value["scenarios"] == {"all": [None, 0.9]}
    text = "\n".join(table.text() for table in diff_tables(value))
    for part in ("tflite float32: operators", "DEQUANTIZE", "task.labels", "train.epochs", "version 2"):
        assert part in text
    lines = "\n".join(summary(value))
    assert "1 changed, 1 removed" in lines
    assert "may not work with the second" in lines
    assert "Simulated numbers." in lines


def test_intervals(bundle: Bundle):
    def with_accuracy(low: float, high: float) -> Bundle:
        metrics = {"accuracy": {"value": (low + high) / 2, "low": low, "high": high}}
        manifest = dataclasses.replace(bundle.manifest, provenance={"metrics": metrics})
        return dataclasses.replace(bundle, manifest=manifest)

    first = with_accuracy(0.8, 0.9)
    for low, high, apart in ((0.85, 0.95, False), (0.91, 0.95, True), (0.1, 0.79, True)):
        assert compare(first, with_accuracy(low, high))["metrics"]["accuracy"]["intervals_apart"] is apart


def test_the_command(exported: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mmk = tmp_path / "x.mmk"
    assert main(["pack", str(exported), "--out", str(mmk)]) == 0
    capsys.readouterr()
    assert main(["diff", str(exported), str(mmk)]) == 0
    out = capsys.readouterr().out
    assert "files: 4 same" in out
    assert "no change in: interface, data, settings, packages" in out
    assert "latency: not measured" in out
    assert main(["diff", str(mmk), str(exported), "--json", "--measure", "--runs", "2"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["first"]["place"] == str(mmk)
    assert all(time > 0 for time in value["files"]["tflite float32"]["p50_ms"])
    assert main(["diff", str(exported)]) == 2
    assert main(["diff", str(exported), str(tmp_path / "gone")]) == 1
    assert main(["diff", str(exported), str(mmk), "--runs", "0"]) == 2


def test_a_report_that_cannot_be_read(bundle: Bundle, folder: Path, edit: Callable[..., Bundle]):
    (folder / "export.json").write_text("{")
    with pytest.raises(BundleError, match=r"export\.json cannot be read as JSON"):
        compare(bundle, Bundle.open(folder))
    (folder / "export.json").write_text('{"files": [3, {"format": "onnx"}], "reference": 3}')
    (folder / "benchmark.json").write_text('{"files": 3}')
    assert compare(bundle, Bundle.open(folder))["scenarios"] == {}
