"""The compile gate: every ONNX file that is meant for TensorRT is built by tensorrt-rtx, which needs no GPU."""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import pipelines
from export.formats import Job
from export.source import Sample, Source
from export.to_onnx import islands as onnx_islands
from export.to_onnx.float16 import Float16Quantizer
from export.to_onnx.int8 import OnnxQuantizer, weights_only
from export.to_onnx.onnx_from_keras import convert
from export.to_tensorrt.lint import lint_file
from export.verification.report import Report
from mmkeras.bundle import Bundle
from mmkeras.core.components import names
from mmkeras.core.config import ModelConfig
from mmkeras.core.errors import BundleError
from mmkeras.model import build_model, modality_specs, task_spec
from mmkeras.runtime.runner import runners
from mmkeras.runtime.tensorrt.builder import BuildOptions
from mmkeras.runtime.tensorrt.compiling import Job as BuildJob
from mmkeras.runtime.tensorrt.compiling import compile_engine
from mmkeras.runtime.tensorrt.sidecar import BatchRange
from tests.runtime.tensorrt.conftest import RTX, needs_rtx
from tests.tiny import (
    TinyClip,
    TinyFinance,
    TinyMatching,
    TinyMedical,
    TinySegmentation,
    TinySigns,
    TinyTable,
    inputs_of,
    tiny_documents_config,
    tiny_drive_config,
    tiny_model_config,
    with_tiny_text,
)

pytestmark = needs_rtx
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = BuildOptions(BatchRange(1, 1, 8), workspace_mib=1024)
TINY: dict[str, Callable[[Path], ModelConfig]] = {
    "vqa": tiny_model_config,
    "camera_radar": lambda folder: tiny_drive_config(),
    "table": lambda folder: TinyTable(),
    "traffic_signs": lambda folder: TinySigns(),
    "medical": lambda folder: with_tiny_text(TinyMedical(), folder, "attention_pooling"),
    "finance": lambda folder: with_tiny_text(TinyFinance(), folder, "cross_attention"),
    "matching": lambda folder: with_tiny_text(TinyMatching(), folder, "none"),
    "segmentation": lambda folder: dataclasses.replace(TinySegmentation(), text=tiny_model_config(folder).text),
    "documents": tiny_documents_config,
    "video_text": lambda folder: with_tiny_text(TinyClip(), folder, "product"),
}
"""The smallest model of each pipeline."""
_ALIKE = ("medical", "traffic_signs")
"""Their parts are those of other pipelines."""
_COMPILED = [
    pytest.param(name, marks=pytest.mark.slow) if name in _ALIKE else name for name in sorted(TINY.keys() - {"vqa"})
]


def compiles(path: Path, folder: Path) -> None:
    assert not [finding for finding in lint_file(path) if finding.error]
    built = compile_engine(BuildJob(path, folder / f"{path.stem}.plan", library=RTX, options=OPTIONS))
    assert all(shapes.max[0] == 8 for shapes in built.profile.values())


def test_every_pipeline_has_a_tiny_model_here():
    folder = Path(pipelines.__path__[0])
    told = {
        info.name
        for info in pkgutil.iter_modules(pipelines.__path__)
        if (folder / f"configs/{info.name}.toml").exists()
    }
    assert told == set(TINY)


def test_every_onnx_file_of_an_export_compiles_or_is_refused_by_the_check_too(report: Report, tmp_path: Path):
    seen = set()
    for file in Bundle.open(report.folder).files:
        if file.format != "onnx":
            continue
        path = report.folder / file.path
        seen.add(file.precision)
        if file.precision != "int8-dynamic":
            compiles(path, tmp_path)
            continue
        assert [finding for finding in lint_file(path) if finding.error]
        with pytest.raises(BundleError, match="Keras layer"):
            compile_engine(BuildJob(path, tmp_path / "no.plan", library=RTX))
    assert {"float32", "float16", "int8-dynamic"} <= seen


@pytest.mark.parametrize("pipeline", _COMPILED)  # the export above is one of vqa
def test_the_other_pipelines_compile(pipeline: str, tmp_path: Path):
    convert_and_compile(TINY[pipeline](tmp_path), ("float32", "float16"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", sorted(names("fusion")))
def test_every_fusion_compiles(fusion: str, tmp_path: Path):
    convert_and_compile(tiny_model_config(tmp_path, fusion=fusion), ("float32",), tmp_path)


def tiny_job(config: ModelConfig, folder: Path) -> Job:
    keras.utils.set_random_seed(0)
    task = task_spec(config)
    unused = [Sample("unused", {}, np.zeros(task.target.shape, task.target.dtype))]
    return Job(Source("tiny", build_model(config), modality_specs(config), task, unused), folder)


def convert_and_compile(config: ModelConfig, precisions: tuple[str, ...], folder: Path) -> None:
    job = tiny_job(config, folder)
    for precision in precisions:
        convert(job, precision, folder / f"tiny.{precision}.onnx")
        compiles(folder / f"tiny.{precision}.onnx", folder)


@pytest.mark.parametrize("pipeline", ["vqa", *_COMPILED])
def test_both_int8_forms_and_float16_with_islands_compile(
    pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = TINY[pipeline](tmp_path)
    inputs = inputs_of(config)
    base = tmp_path / "tiny.float32.onnx"
    convert(tiny_job(config, tmp_path), "float32", base)
    OnnxQuantizer(base, inputs, tmp_path).write(tmp_path / "tiny.int8.onnx")
    weights_only(base, tmp_path / "tiny.int8-weights.onnx")
    # Nothing in these models is near 65504; a lower limit makes many islands.
    monkeypatch.setattr(onnx_islands, "LARGEST", 2.0)
    halves = Float16Quantizer(base, inputs, tmp_path)
    halves.write(tmp_path / "tiny.float16.onnx")
    assert len(halves.islands) > 10
    expected = answers(base, inputs)
    for precision, tolerance in (("int8", 0.2), ("int8-weights", 0.05), ("float16", 0.02)):
        path = tmp_path / f"tiny.{precision}.onnx"
        compiles(path, tmp_path)
        for name, got in answers(path, inputs).items():
            size = max(1.0, np.abs(expected[name]).max())
            assert np.abs(got - expected[name]).mean() < tolerance * size, (precision, name)


def answers(path: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with runners()["onnx"](path) as runner:
        return dict(runner.infer(inputs))


NEWEST: dict[str, Path] = {}
for _manifest in sorted(
    (ROOT / "saved_models").glob("*/*/manifest.json"), key=lambda path: path.parent.stat().st_mtime
):
    NEWEST[_manifest.parts[-3]] = _manifest.parent
"""The newest bundle of every name that lies here."""


@pytest.mark.skipif(not NEWEST, reason="needs exported bundles in saved_models: python -m pipelines.vqa makes one")
@pytest.mark.parametrize("name", NEWEST)
def test_the_bundles_that_lie_here_compile(name: str, tmp_path: Path):
    bundle = Bundle.open(NEWEST[name])
    files = [f for f in bundle.files if f.format == "onnx" and f.accepted and f.precision != "int8-dynamic"]
    for file in files:
        compiles(bundle.load(file.path, file.sha256), tmp_path)
