"""A packed bundle in an empty environment with numpy and one engine, on Python 3.10 where there is one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmkeras.bundle import Bundle
from mmkeras.runtime.packing import pack_bundle
from tests.runtime import conftest as bundles
from tests.test_wheel import _install, _python_310
from tests.wheels import run_outside

# The fixtures that make a real bundle.
exported = bundles.exported
images = bundles.images


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "format"), [("ai-edge-litert>=2.1", "tflite"), ("onnxruntime>=1.23", "onnx")], ids=["litert", "onnx"]
)
def test_numpy_and_one_engine_are_all_it_takes(
    tmp_path: Path, exported: Path, images: list[Path], engine: str, format: str
):
    done = run_outside([_python_310(), "-m", "venv", tmp_path / "venv"], tmp_path)
    assert done.returncode == 0, done.stderr
    python = tmp_path / "venv" / "bin" / "python"
    _install(python, "numpy", engine)
    with Bundle.open(exported) as bundle:
        mmk = pack_bundle(bundle, tmp_path / "tiny-1.mmk")
    done = run_outside([python, "-I", mmk, "selftest", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {file["format"] for file in result["files"] if file["verdict"] == "passed"} == {format}
    assert result["scenarios"]["without_text"] == "passed"
    done = run_outside([python, "-I", mmk, "predict", "--text", "what shape is it?", "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in ("circle", "red", "square")
    done = run_outside([python, "-I", mmk, "predict", "--image", images[0]], tmp_path)
    assert done.returncode == 1
    assert "pip install pillow" in done.stderr
    for command in (["benchmark", "--runs", "5"], ["inspect"], ["diff", mmk]):
        done = run_outside([python, "-I", mmk, *command], tmp_path)
        assert done.returncode == 0, done.stderr
    assert not list(tmp_path.glob("mmkeras-*"))
    shutil.rmtree(tmp_path / "venv")
