"""A file that does not behave like the Keras model is set aside, named and answered with a non-zero exit status."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

import export.to_litert.litert_from_saved_model
import export.to_onnx.onnx_from_keras
from export.formats import Job
from export.run import export_source
from export.source import Sample, Source
from export.verification.report import Report
from mmkeras.bundle import Bundle
from mmkeras.core.config import ExportConfig
from mmkeras.core.console import Console
from mmkeras.core.errors import ConfigError, ExportError
from mmkeras.runtime.selftest import selftest
from tests.export.conftest import put_in_place


def poison(path: Path, value: float) -> None:
    """Change the last layer's bias in an ONNX file."""
    proto = onnx.load(path)
    made_by = {name: node for node in proto.graph.node for name in node.output}
    weights = {weight.name: weight for weight in proto.graph.initializer}
    last = made_by[next(node for node in proto.graph.node if proto.graph.output[0].name in node.output).input[0]]
    bias = next(weights[name] for name in last.input if name in weights)
    array = onnx.numpy_helper.to_array(bias).copy()
    assert array.shape[-1] == 3
    array.flat[0] += value
    bias.CopyFrom(onnx.numpy_helper.from_array(array, bias.name))
    onnx.save(proto, path)


def run(source: Source, folder: Path, formats: tuple[str, ...]) -> tuple[Any, str]:
    stream = io.StringIO()
    config = ExportConfig(folder=str(folder), formats=formats, precisions=("float32",))
    return export_source(source, config, console=Console(file=stream, width=200)), stream.getvalue()


@pytest.mark.parametrize(
    ("value", "reason"), [(3.0, "decisions changed"), (np.nan, "NaN"), (3e-4, "probabilities differs by")]
)
def test_a_file_with_other_weights_is_rejected_and_kept_aside(
    source: Source, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, reason: str
) -> None:
    good = report.folder / "edge" / "tiny.float32.onnx"

    def broken(job: Job, precision: str, path: Path) -> None:
        shutil.copy(good, path)
        poison(path, value)

    put_in_place(monkeypatch, export.to_onnx.onnx_from_keras, broken)
    report, printed = run(source, tmp_path, ("onnx",))
    (file,) = report.files
    assert not report.accepted
    assert not file.accepted
    assert reason in file.reason
    assert "REJECTED" in printed
    assert file.reason[:60] in printed
    assert file.path == "rejected/tiny.float32.onnx"
    assert (report.folder / file.path).is_file()
    assert not (report.folder / "edge").exists()
    entry = json.loads((report.folder / "export.json").read_text("utf-8"))["files"][0]
    assert entry["accepted"] is False
    assert entry["reason"] == file.reason
    assert len(entry["scenarios"]["all"]["flipped"]) == entry["scenarios"]["all"]["flips"]
    if value == 3.0:
        assert set(entry["scenarios"]["all"]["flipped"]) < {sample.key for sample in source.samples}
    bundle = Bundle.open(report.folder)
    assert [f.accepted for f in bundle.files] == [False]
    assert not selftest(bundle).passed


def test_one_failing_converter_does_not_stop_the_others(
    source: Source, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = report.folder / "edge" / "tiny.float32.onnx"

    def copies(job: Job, precision: str, path: Path) -> None:
        shutil.copy(good, path)

    def fails(job: Job, precision: str, path: Path) -> None:
        path.write_bytes(b"half a file")
        raise RuntimeError("no such operation: Frobnicate\nand pages of details")

    def writes_nonsense(job: Job, precision: str, path: Path) -> None:
        path.write_bytes(b"not a model")

    put_in_place(monkeypatch, export.to_onnx.onnx_from_keras, copies)
    put_in_place(monkeypatch, export.to_litert.litert_from_saved_model, fails)
    report, printed = run(source, tmp_path, ("tflite", "onnx"))
    assert [(f.format, f.accepted) for f in report.files] == [("tflite", False), ("onnx", True)]
    assert report.files[0].reason == "conversion failed: RuntimeError: no such operation: Frobnicate"
    assert report.files[0].path == ""
    assert "Frobnicate" in printed
    assert [f.format for f in Bundle.open(report.folder).files] == ["onnx"]
    put_in_place(monkeypatch, export.to_litert.litert_from_saved_model, writes_nonsense)
    report, _ = run(source, tmp_path, ("tflite",))
    assert report.version == 2
    assert "does not run" in report.files[0].reason
    assert report.files[0].path == "rejected/tiny.float32.tflite"


def test_nothing_is_left_behind_when_the_export_breaks(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(job: Job, precision: str, path: Path) -> None:
        raise KeyboardInterrupt

    put_in_place(monkeypatch, export.to_onnx.onnx_from_keras, stops)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path, ("onnx",))
    assert list((tmp_path / "tiny").iterdir()) == []


def test_a_keras_model_that_answers_nan_is_not_exported(source: Source, tmp_path: Path) -> None:
    broken = keras.models.clone_model(source.model)
    broken.set_weights([np.full_like(weight, np.nan) for weight in source.model.get_weights()])
    with pytest.raises(ExportError, match="Keras model itself gives NaN"):
        run(dataclasses.replace(source, model=broken), tmp_path, ("onnx",))
    assert not any((tmp_path / "tiny").iterdir())


def test_a_source_that_could_prove_nothing_is_refused(source: Source) -> None:
    with pytest.raises(ExportError, match="no test samples"):
        dataclasses.replace(source, samples=[])
    with pytest.raises(ExportError, match="inputs are not those of its specs"):
        dataclasses.replace(source, specs={"image": source.specs["image"]})
    other = keras.Model(source.model.inputs, {"value": source.model.output["probabilities"]})
    with pytest.raises(ExportError, match="outputs are not those of its task"):
        dataclasses.replace(source, model=other)
    with pytest.raises(ConfigError, match="samples: expected at least 1"):
        export_source(source, ExportConfig(samples=0))


def test_a_model_in_mixed_precision_is_refused(source: Source) -> None:
    inputs = {i.name: keras.Input(i.shape[1:], dtype=i.dtype, name=i.name) for i in source.model.inputs}
    present = keras.ops.reshape(inputs["image_present"], (-1, 1))
    mixed = keras.layers.Dense(3, dtype="mixed_bfloat16", name="reduced")(present)
    model = keras.Model(inputs, {"probabilities": keras.layers.Softmax(dtype="float32")(mixed)})
    with pytest.raises(ExportError, match="reduced"):
        Source("x", model, source.specs, source.task, [Sample("k", {}, np.array(0))])
