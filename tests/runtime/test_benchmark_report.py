"""The table of `mmkeras benchmark`: speed beside proof, kept, and held to an older one."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmkeras
from mmkeras.bundle import Bundle
from mmkeras.core.errors import DataError
from mmkeras.runtime.benchmark_report import read_report, regressions
from mmkeras.runtime.cli import main

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "benchmark.schema.json").read_text())
FEW = ("--runs", "3", "--warmup", "1")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        status = main(["benchmark", *(str(each) for each in arguments)])
        printed, errors = capfd.readouterr()
        assert "Traceback" not in errors
        return status, printed, errors

    return call


def _export(folder: Path) -> dict[str, Any]:
    """Write what the verification of the bundle's files might have found, the worst in a scenario of its own."""
    files = []
    for number, file in enumerate(Bundle.open(folder).files):
        changes = {"all": 0.01, "without_image": -0.02 * (number + 1), "empty_text": -0.001}
        found = {name: {"samples": 9, "flips": 1, "metric_change": change} for name, change in changes.items()}
        proof = {"samples": 9, "flips": 3 + number, "metric": 0.9, "metric_change": 0.01, "scenarios": found}
        files.append({"path": file.path, **proof})
    (folder / "export.json").write_text(json.dumps({"files": files}))
    return {"files": files}


def test_speed_stands_beside_what_the_export_proved(run: Run, folder: Path):
    export = _export(folder)
    status, out, err = run(folder, *FEW, "--json")
    assert status == 0, err
    report = json.loads(out)
    jsonschema.validate(report, SCHEMA)
    kept = json.loads((folder / "benchmark.json").read_text())
    assert kept == {key: value for key, value in report.items() if key != "regressions"}
    assert len(report["files"]) >= 2
    for row in report["files"]:
        (proof,) = (entry for entry in export["files"] if entry["path"] == row["path"])
        assert (row["metric"], row["flips"]) == (proof["metric"], proof["flips"])
        changes = {name: found["metric_change"] for name, found in proof["scenarios"].items()}
        assert row["worst_scenario"] == "without_image"
        assert row["worst_change"] == min(changes.values())
        assert row["p50_ms"] > 0
        assert not row["error"]
    status, out, _ = run(folder, *FEW)
    assert status == 0
    assert "without_image -0.02" in out
    assert "written: " in out


def test_a_broken_file_is_a_row_and_does_not_stop_the_others(run: Run, folder: Path):
    (folder / "edge/tiny.float32.onnx").write_bytes(b"")
    status, out, err = run(folder, *FEW, "--json")
    assert status == 1
    assert "tiny.float32.onnx could not be measured" in err
    report = json.loads(out)
    jsonschema.validate(report, SCHEMA)
    errors = {row["path"]: row["error"] for row in report["files"]}
    assert "expected sha256" in errors.pop("edge/tiny.float32.onnx")
    assert errors
    assert not any(errors.values())
    assert "failed" in run(folder, *FEW)[1]


def test_figures_of_the_export_that_are_no_numbers_are_left_out(run: Run, folder: Path):
    export = _export(folder)
    for entry in export["files"]:
        entry |= {"metric": "high", "metric_change": [], "flips": None}
    (folder / "export.json").write_text(json.dumps(export))
    status, out, err = run(folder, *FEW, "--format", "onnx")
    assert status == 0, err
    assert "onnx float32" in out


def test_a_part_does_not_replace_the_whole_table(run: Run, folder: Path, tmp_path: Path):
    assert run(folder, *FEW, "--format", "onnx")[0] == 0
    assert not (folder / "benchmark.json").exists()
    assert run(folder, *FEW, "--format", "onnx", "--out", tmp_path / "part.json")[0] == 0
    assert len(json.loads((tmp_path / "part.json").read_text())["files"]) == 1
    assert run(folder, *FEW, "--out", tmp_path / "part.json" / "x.json")[0] == 2


def test_a_baseline_is_held(run: Run, folder: Path, tmp_path: Path):
    assert run(folder, *FEW)[0] == 0
    old = json.loads((folder / "benchmark.json").read_text())
    path = tmp_path / "old.json"

    def against(change: float, *options: str) -> tuple[int, str, str]:
        changed = copy.deepcopy(old)
        for row in changed["files"]:
            row["p50_ms"] *= change
        path.write_text(json.dumps(changed))
        return run(folder, *FEW, "--format", "onnx", "--baseline", path, *options)

    status, out, err = against(1e-3)
    assert status == 1
    assert "onnx float32: median time" in err
    assert "tflite" not in err  # not asked for
    shutil.copy(folder / "benchmark.json", path)
    status, out, err = run(folder, *FEW, "--baseline", path, "--max-regression", "100000%")
    assert status == 0, err
    assert "no file is more than" in out


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--max-regression", "ten", "expected a share such as 10% or 0.1, got 'ten'"),
        ("--max-regression", "-5%", "expected a share"),
        ("--baseline", "nowhere.json", "cannot be read"),
    ],
)
def test_options_that_do_not_fit(run: Run, exported: Path, option: str, value: str, words: str):
    status, _, err = run(exported, *FEW, f"{option}={value}")
    assert status != 0
    assert words in err


def _row(**figures: Any) -> dict[str, Any]:
    return {"format": "onnx", "precision": "float32", "p50_ms": 2.0, "bytes": 100, "peak_mib": 50.0, **figures}


def test_what_counts_as_worse():
    def worse(now: dict[str, Any], share: float = 0.1) -> list[str]:
        return regressions({"files": [now]}, {"files": [_row()]}, share)

    assert worse(_row(p50_ms=2.19, bytes=110, peak_mib=10)) == []
    assert worse(_row(p50_ms=2.21)) == ["onnx float32: median time 2 -> 2.21 (+10.5%)"]
    assert worse(_row(bytes=150, peak_mib=60), 0.3) == ["onnx float32: size 100 -> 150 (+50.0%)"]
    assert worse(_row(p50_ms=None, error="boom")) == [
        "onnx float32: was measured in the baseline and is not any more: boom"
    ]
    assert regressions({"files": []}, {"files": [_row(p50_ms=None)]}, 0.1) == []


def test_a_number_without_a_float_is_no_baseline(tmp_path: Path):
    (tmp_path / "baseline.json").write_text(json.dumps({"schema_version": 1, "files": [_row(bytes=10**400)]}))
    with pytest.raises(DataError, match=r"baseline\.json cannot be read: .*too large"):
        read_report(tmp_path / "baseline.json")


@given(
    st.recursive(
        st.none() | st.floats() | st.text(max_size=5),
        lambda x: (
            st.lists(x) | st.dictionaries(st.sampled_from(["files", "p50_ms", "bytes", "schema_version", "format"]), x)
        ),
    )
)
def test_any_json_is_a_baseline_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any):
    path = tmp_path_factory.getbasetemp() / "baseline.json"
    path.write_text(json.dumps(value))
    good = isinstance(value, dict) and isinstance(value.get("files"), list) and value.get("schema_version") == 1
    if not good:
        with pytest.raises(DataError, match=r"baseline\.json"):
            read_report(path)
    else:
        regressions({"files": [_row()]}, read_report(path), 0.1)
