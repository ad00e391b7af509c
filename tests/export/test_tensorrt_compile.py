"""The compile gate: every ONNX file that is meant for TensorRT is built by tensorrt-rtx, which needs no GPU."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

import pipelines
from export.formats import Job
from export.onnx_from_keras import convert
from export.results import Report
from export.source import Sample, Source
from export.tensorrt_lint import lint_file
from mmkeras.bundle import Bundle
from mmkeras.components import names
from mmkeras.config import ModelConfig
from mmkeras.errors import BundleError
from mmkeras.model import build_model, modality_specs, task_spec
from mmkeras.runtime.tensorrt.builder import BuildOptions
from mmkeras.runtime.tensorrt.compiling import Job as BuildJob
from mmkeras.runtime.tensorrt.compiling import compile_engine
from mmkeras.runtime.tensorrt.profile import BatchRange
from tests.runtime.tensorrt.conftest import RTX, needs_rtx
from tests.tiny import tiny_drive_config, tiny_model_config

pytestmark = needs_rtx
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = BuildOptions(BatchRange(1, 1, 8), workspace_mib=1024)
TINY: dict[str, Callable[[Path], ModelConfig]] = {
    "vqa": tiny_model_config,
    "camera_radar": lambda folder: tiny_drive_config(),
}
"""The smallest model of each pipeline."""


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


@pytest.mark.parametrize("pipeline", sorted(TINY.keys() - {"vqa"}))  # the export above is one of vqa
def test_the_other_pipelines_compile(pipeline: str, tmp_path: Path):
    convert_and_compile(TINY[pipeline](tmp_path), ("float32", "float16"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", sorted(names("fusion")))
def test_every_fusion_compiles(fusion: str, tmp_path: Path):
    convert_and_compile(tiny_model_config(tmp_path, fusion=fusion), ("float32",), tmp_path)


def convert_and_compile(config: ModelConfig, precisions: tuple[str, ...], folder: Path) -> None:
    keras.utils.set_random_seed(0)
    task = task_spec(config)
    unused = [Sample("unused", {}, np.zeros(task.target.shape, task.target.dtype))]
    job = Job(Source("tiny", build_model(config), modality_specs(config), task, unused), folder)
    for precision in precisions:
        convert(job, precision, folder / f"tiny.{precision}.onnx")
        compiles(folder / f"tiny.{precision}.onnx", folder)


def test_quantise_and_dequantise_nodes_compile(report: Report, tmp_path: Path):
    """The static int8 form that TensorRT takes: symmetric, int8, biases left alone."""
    from onnxruntime import quantization

    base = report.folder / "edge/tiny.float32.onnx"
    inputs = dict(Bundle.open(report.folder).golden().inputs)
    wanted = {value.name for value in onnx.load(base).graph.input}

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._rows = iter([{n: inputs[n][i : i + 1] for n in wanted} for i in range(4)])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._rows, None)

    quantization.quantize_static(
        base,
        tmp_path / "tiny.onnx",
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "DedicatedQDQPair": True,
            "AddQDQPairToWeight": True,
        },
    )
    assert [node for node in onnx.load(tmp_path / "tiny.onnx").graph.node if node.op_type == "QuantizeLinear"]
    compiles(tmp_path / "tiny.onnx", tmp_path)


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
