from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.to_tensorrt.benchmark import main
from export.verification.report import Report
from tests.runtime.tensorrt.conftest import needs_gpu, needs_no_gpu, needs_rtx


@needs_rtx
@needs_no_gpu
def test_without_a_gpu_it_builds_times_onnx_runtime_and_says_that_nothing_is_proven(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "result.json"
    before = sorted(report.folder.rglob("*"))
    assert main([str(report.folder), "--runs", "3", "--out", str(out)]) == 1
    assert "not proven: the CUDA driver" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert {entry["precision"] for entry in result["builds"]} == {"float32", "float16", "int8"}
    assert all(entry["build_seconds"] > 0 for entry in result["builds"])
    verdicts = {(e["format"], e["precision"]): e["verdict"] for e in result["parity"]}
    assert verdicts["tensorrt", "float32"] == "skipped"
    assert verdicts["onnx", "float32"] == "passed"
    timed = [entry for entry in result["latency"] if "p50_ms" in entry]
    assert {entry["format"] for entry in timed} == {"onnx"}
    assert sorted(report.folder.rglob("*")) == before, "the bundle stays as it is"


@needs_gpu
def test_on_a_gpu_every_engine_is_proven_and_timed(report: Report, tmp_path: Path):
    out = tmp_path / "result.json"
    assert main([str(report.folder), "--runs", "20", "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    timed = {(e["format"], e["precision"]) for e in result["latency"] if "p50_ms" in e}
    assert {("tensorrt", "float32"), ("tensorrt", "float16"), ("onnx", "float32")} <= timed


def test_wrong_command_lines(tmp_path: Path, report: Report, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none")]) == 2
    assert main([str(report.folder), "--runs", "0"]) == 2
    assert main([str(report.folder), "--batch", "x"]) == 2
    assert "--batch: expected" in capsys.readouterr().err
