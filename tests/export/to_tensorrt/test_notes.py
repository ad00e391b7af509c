from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from export.to_tensorrt.notes import NOTES, TOOLS, trtexec
from export.to_tensorrt.tensorrt_from_onnx import main
from export.verification.report import Report
from export.verification.table import print_report
from mmkeras.bundle import Bundle
from mmkeras.core.console import Console
from mmkeras.modalities import TensorSpec
from tests.runtime.tensorrt.conftest import needs_rtx, write_onnx

INPUTS = (TensorSpec("image", (64, 64, 3), "uint8"), TensorSpec("image_present", (), "float32"))
PRECISION_FLAGS = {
    ("8.6", "float32"): set(),
    ("8.6", "float16"): {"--fp16"},
    ("8.6", "int8"): {"--int8"},
    **{("10", precision): {"--stronglyTyped"} for precision in ("float32", "float16", "int8")},
    **{(tool, precision): set() for tool in ("11", "rtx") for precision in ("float32", "float16", "int8")},
}


@pytest.mark.parametrize(("tool", "precision"), PRECISION_FLAGS)
def test_a_command_has_the_shapes_and_only_the_flags_of_its_version(tool: str, precision: str):
    words = shlex.split(trtexec(tool, "edge/a b.onnx", precision, INPUTS, "engines/a.plan"))
    assert words[:3] == [
        "tensorrt_rtx" if tool == "rtx" else "trtexec",
        "--onnx=edge/a b.onnx",
        "--saveEngine=engines/a.plan",
    ]
    assert "--minShapes=image:1x64x64x3,image_present:1" in words
    assert "--maxShapes=image:8x64x64x3,image_present:8" in words
    flags = {"--fp16", "--int8", "--best", "--stronglyTyped", "--bf16"} & set(words)
    assert flags == PRECISION_FLAGS[tool, precision]
    # Gone from 10 on.
    assert not [word for word in words if word.startswith(("--workspace", "--explicitBatch", "--buildOnly"))]


def test_every_export_writes_them_and_the_manifest_vouches_for_them(report: Report):
    bundle = Bundle.open(report.folder)
    assert list(bundle.manifest.documents) == [NOTES]
    text = (report.folder / NOTES).read_text()
    onnx = [file for file in bundle.files if file.format == "onnx"]
    assert all(f"## {file.path}" in text for file in onnx)
    for tool in TOOLS:
        for precision in ("float32", "float16"):
            path = f"edge/tiny.{precision}.onnx"
            assert trtexec(tool, path, precision, bundle.inputs, f"engines/tiny.{precision}.plan") in text
    entries = {file["path"]: file for file in json.loads((report.folder / "export.json").read_text())["files"]}
    float16, dynamic = (entries[f"edge/tiny.{precision}.onnx"]["engine"] for precision in ("float16", "int8-dynamic"))
    assert (float16["refused_by"], list(float16["commands"])) == ([], list(TOOLS))
    assert "--fp16" in float16["commands"]["8.6"]
    assert (dynamic["refused_by"], dynamic["commands"]) == (["8.6", "10"], {})
    assert not [path for path, entry in entries.items() if "engine" in entry and not path.endswith(".onnx")]
    # int8-dynamic is for ONNX Runtime: said, and no command given.
    assert "DynamicQuantizeLinear is not supported" in text
    assert "--onnx=edge/tiny.int8-dynamic.onnx" not in text


def test_the_table_says_what_is_not_for_tensorrt_and_what_comes_next(report: Report):
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=200))
    text = stream.getvalue()
    assert "TensorRT 8.6 and 10 refuses edge/tiny.int8-dynamic.onnx: see edge/tensorrt.md." in text
    assert text.count("refuses") == 1
    assert f"mmkeras build-engine {report.folder}" in text


def test_altered_notes_are_noticed(report: Report, tmp_path: Path):
    import shutil

    folder = Path(shutil.copytree(report.folder, tmp_path / "1"))
    (folder / NOTES).write_text("trtexec --best")
    assert list(Bundle.open(folder).verify()) == [NOTES]


@needs_rtx
def test_the_program_around_an_onnx_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write_onnx(tmp_path / "tiny.onnx")
    assert main([str(path), "--library", "tensorrt-rtx", "--batch", "1:2:4"]) == 0
    assert "tiny.plan: " in (out := capsys.readouterr().out)
    assert "batch 1:2:4" in out
    assert {"tiny.plan", "tiny.plan.json", "timing.cache"} <= {item.name for item in tmp_path.iterdir()}
    assert main([str(path), "--batch", "4:2:1"]) == 2
    assert main([str(tmp_path / "none.onnx"), "--library", "tensorrt-rtx"]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_the_program_needs_no_tensorflow():
    code = (
        "import sys, export.tensorrt_from_onnx; "
        "sys.exit(str({'tensorflow', 'keras', 'onnx', 'onnxruntime'} & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
