"""Engines of a real bundle: built, found, refused where they do not belong, left out of packed bundles."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from mmkeras.bundle import Bundle
from mmkeras.core.errors import BundleError, ConfigError, DependencyError
from mmkeras.runtime.cli import main
from mmkeras.runtime.packing import pack_bundle
from mmkeras.runtime.predictor import Predictor, candidates, choose
from mmkeras.runtime.runner import runners
from mmkeras.runtime.selftest import selftest
from mmkeras.runtime.tensorrt.builder import BuildOptions
from mmkeras.runtime.tensorrt.building import build_engine, onnx_file, rebuild_stale
from mmkeras.runtime.tensorrt.engines import engine_files, engine_folder
from mmkeras.runtime.tensorrt.sidecar import BatchRange, read_sidecar, sidecar_path
from tests.runtime.tensorrt.conftest import needs_gpu, needs_no_gpu, needs_rtx

pytestmark = needs_rtx


@pytest.fixture(scope="module")
def with_engine(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose engine was built once: never change it."""
    folder = Path(shutil.copytree(exported, tmp_path_factory.mktemp("engines") / "tiny" / "1"))
    build_engine(Bundle.open(folder), options=BuildOptions(BatchRange(1, 1, 4)), library="tensorrt-rtx")
    return folder


@pytest.fixture
def built_folder(with_engine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(with_engine, tmp_path / "tiny" / "1"))


def test_an_engine_is_found_with_the_precision_and_tolerance_of_its_file(with_engine: Path):
    bundle = Bundle.open(with_engine)
    (engine,) = engine_files(bundle)
    onnx = onnx_file(bundle)
    assert (engine.format, engine.precision, engine.accepted) == ("tensorrt", "float32", True)
    assert engine.tolerance == pytest.approx(10 * onnx.tolerance)
    assert engine.path == "engines/tiny.float32.plan"
    assert candidates(bundle) == (*bundle.files, engine)
    assert bundle.verify() == {}, "engines are no part of the bundle"
    # Only when it is asked for by name.
    assert choose(bundle).format == "tflite"


def test_files_that_cannot_be_built_from(with_engine: Path):
    bundle = Bundle.open(with_engine)
    with pytest.raises(ConfigError, match=r"no ONNX file in float61 .*'float32'"):
        onnx_file(bundle, "float61")
    with pytest.raises(ConfigError, match="no ONNX file in int8-dynamic"):
        build_engine(bundle, "int8-dynamic")


def test_a_rejected_file_is_not_built_from(edit):
    with pytest.raises(BundleError, match=r"the export rejected .*, so no engine is built: it is wrong"):
        onnx_file(edit("onnx", "float32", accepted=False, reason="it is wrong"), "float32")


@needs_no_gpu
def test_without_a_gpu_everything_says_so_and_nothing_crashes(with_engine: Path, capsys: pytest.CaptureFixture[str]):
    bundle = Bundle.open(with_engine)
    with pytest.raises(DependencyError, match="needs an NVIDIA GPU, but"):
        Predictor(bundle, "tensorrt")
    with pytest.raises(DependencyError, match="needs an NVIDIA GPU, but"):
        runners()["tensorrt"](engine_files(bundle)[0].place, device="tensorrt").activate()
    check = selftest(bundle).files[-1]
    assert (check.format, check.verdict) == ("tensorrt", "skipped")
    assert "needs an NVIDIA GPU" in check.reason
    for command in (["benchmark", "--format", "tensorrt"], ["predict", "--text", "what?", "--format", "tensorrt"]):
        assert main([command[0], str(with_engine), *command[1:]]) == 1
        assert "needs an NVIDIA GPU, but" in capsys.readouterr().err
    assert main(["selftest", str(with_engine), "--rebuild"]) == 1
    assert "needs an NVIDIA GPU, but" in capsys.readouterr().err


def test_engines_that_are_not_this_bundles_are_rejected_with_the_reason(built_folder: Path):
    engine = built_folder / "engines" / "tiny.float32.plan"
    value = json.loads(sidecar_path(engine).read_text())
    sidecar_path(engine).write_text(json.dumps(value | {"onnx_sha256": "c" * 64}))
    (found,) = engine_files(Bundle.open(built_folder))
    assert not found.accepted
    assert "built from an ONNX file that is not in this bundle" in found.reason
    with pytest.raises(BundleError, match="an ONNX file that is not in this bundle"):
        choose(Bundle.open(built_folder), "tensorrt")
    sidecar_path(engine).unlink()
    (found,) = engine_files(Bundle.open(built_folder))
    assert "tiny.float32.plan.json with its GPU and TensorRT version is missing" in found.reason
    assert found.precision == "float32"
    assert selftest(Bundle.open(built_folder)).files[-1].verdict == "rejected"


def test_the_runner_looks_at_the_sidecar_before_anything_else(built_folder: Path):
    engine = built_folder / "engines" / "tiny.float32.plan"
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(BundleError, match="altered or cut off"):
        runners()["tensorrt"](engine, device="tensorrt").activate()
    with pytest.raises(ConfigError, match="TensorRT has no device 'cpu'"):
        runners()["tensorrt"](engine)


def test_a_packed_bundle_leaves_engines_behind_and_gets_its_own_beside_it(with_engine: Path, tmp_path: Path):
    packed = pack_bundle(Bundle.open(with_engine), tmp_path / "tiny-1.mmk")
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.startswith("engines/")]
    assert "mmkeras/runtime/tensorrt/compiling.py" in names
    assert "mmkeras/runtime/runners/tensorrt_runner.py" in names
    with Bundle.open(packed) as bundle:
        assert engine_folder(bundle) == tmp_path / "tiny-1.engines"
        path, built = build_engine(bundle, library="tensorrt-rtx")
        assert path == tmp_path / "tiny-1.engines" / "tiny.float32.plan"
        assert built.profile["image"].max == (1, 16, 16, 3)
        assert [file.accepted for file in engine_files(bundle)] == [True]


def test_the_command(built_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "mine.plan"
    arguments = ["--library", "tensorrt-rtx", "--out", str(out), "--timing-cache", str(tmp_path / "cache"), "--json"]
    assert main(["build-engine", str(built_folder), *arguments]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["engine"] == str(out)
    assert read_sidecar(out).engine_sha256 == answer["engine_sha256"]
    assert (tmp_path / "cache").exists()
    for wrong, said in (
        (["--batch", "0"], "--batch: expected"),
        (["--workspace", "-1"], "--workspace: expected MiB"),
        (["--workspace", "99999999999"], "--workspace: expected MiB"),
        (["--out", str(tmp_path), "--library", "tensorrt-rtx"], "expected a file to write, got a folder"),
        (["--dla", "-2"], "--dla: expected"),
        (["--library", "trt"], "--library trt: unknown"),
        (["--precision", "float61"], "no ONNX file in float61"),
        (["--fp16"], "--fp16"),
        (["--dla", "0", "--library", "tensorrt-rtx"], "0 DLA cores"),
    ):
        assert main(["build-engine", str(built_folder), *wrong]) == 2
        assert said in capsys.readouterr().err
    (built_folder / "edge/tiny.float32.onnx").write_bytes(b"altered")
    assert main(["build-engine", str(built_folder)]) == 1
    assert "is not the file that was exported" in capsys.readouterr().err


@needs_gpu
@pytest.mark.parametrize("batch", [BatchRange(), BatchRange(1, 2, 4), BatchRange(2, 2, 2)])
def test_on_a_gpu_an_engine_answers_like_keras(exported: Path, tmp_path: Path, batch: BatchRange):
    folder = Path(shutil.copytree(exported, tmp_path / "tiny" / "1"))
    bundle = Bundle.open(folder)
    build_engine(bundle, options=BuildOptions(batch))
    assert rebuild_stale(bundle) == []
    check = selftest(bundle).files[-1]
    assert (check.format, check.verdict) == ("tensorrt", "passed"), check.reason
    golden = bundle.golden()
    with Predictor(bundle, "tensorrt") as predictor:
        assert predictor.runner.device == "tensorrt"
        for _ in range(3):  # the first run is followed by a recording, which the others replay
            outputs = predictor.runner.infer(golden.inputs)
            kept = {name: array.copy() for name, array in outputs.items()}
            predictor.runner.infer({name: array[:1] for name, array in golden.inputs.items()})
            for name, array in outputs.items():
                assert abs(array - golden.outputs[name]).max() < 1e-3
                assert (array == kept[name]).all(), "outputs are the caller's"


@needs_gpu
def test_on_a_gpu_an_engine_of_another_machine_is_explained_and_rebuilt(exported: Path, tmp_path: Path):
    folder = Path(shutil.copytree(exported, tmp_path / "tiny" / "1"))
    engine, built = build_engine(Bundle.open(folder))
    value = json.loads(sidecar_path(engine).read_text())
    changed = value | {"library_version": "7.0.0", "gpu": "Another", "compute_capability": "5.3"}
    sidecar_path(engine).write_text(json.dumps(changed))
    with pytest.raises(BundleError, match=r"was not built for this machine: .*7\.0\.0.*Another.*build-engine"):
        Predictor(Bundle.open(folder), "tensorrt")
    assert rebuild_stale(Bundle.open(folder)) == [engine]
    assert read_sidecar(engine).library_version == built.library_version
