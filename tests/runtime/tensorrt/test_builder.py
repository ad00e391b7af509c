"""What the builder asks of each version, and real builds by tensorrt-rtx in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mmkeras.core.errors import BundleError, ConfigError, DependencyError, ExportError
from mmkeras.runtime.tensorrt import compiling
from mmkeras.runtime.tensorrt.builder import BuildOptions, build
from mmkeras.runtime.tensorrt.compiling import Job, compile_engine
from mmkeras.runtime.tensorrt.cuda import gpus
from mmkeras.runtime.tensorrt.library import Library
from mmkeras.runtime.tensorrt.sidecar import BatchRange, Shapes, read_sidecar
from tests.runtime.tensorrt.conftest import RTX, needs_no_gpu, needs_rtx, write_onnx
from tests.runtime.tensorrt.stand_in import stand_in


@pytest.mark.parametrize(
    ("version", "network", "flags"),
    [("8.6.1", 1, {"FP16", "PREFER_PRECISION_CONSTRAINTS"}), ("10.3.0", 2, set()), ("11.0.0", 0, set())],
)
def test_precision_is_what_the_file_says(version: str, network: int, flags: set[str], onnx_path: Path):
    trt = stand_in(version)
    built = build(Library("tensorrt", trt), onnx_path, BuildOptions(BatchRange(1, 4, 8), workspace_mib=2))
    assert built.profile == {"values": Shapes((1, 4), (4, 4), (8, 4))}
    assert trt.calls["profile"] == {"values": ((1, 4), (4, 4), (8, 4))}
    assert trt.calls["network"] == network
    assert trt.calls["flags"] == flags
    assert trt.calls["cleared"] == {"TF32"}
    assert trt.calls["workspace"] == 2 << 20
    # On 8.6 the float32 convolution stays one; shapes are left alone, and typed networks as well.
    kept = [layer.precision is not None for layer in trt.layers]
    assert kept == ([False, True, False] if version == "8.6.1" else [False] * 3)
    assert built.engine == b"engine"


def test_a_float32_file_needs_no_flag_and_a_quantised_one_int8(onnx_path: Path):
    plain, quantised = stand_in("8.6.1", half=False), stand_in("8.6.1", half=False, quantised=True)
    for trt in (plain, quantised):
        build(Library("tensorrt", trt), onnx_path)
    assert plain.calls["flags"] == set()
    assert quantised.calls["flags"] == {"INT8"}


@pytest.mark.parametrize(("version", "network"), [("8.6.1", 1), ("10.3.0", 1), ("11.4.1", 0)])
def test_a_dla_falls_back_to_the_gpu(version: str, network: int, onnx_path: Path):
    trt = stand_in(version, cores=2)
    build(Library("tensorrt", trt), onnx_path, BuildOptions(dla=1))
    assert trt.calls["config"].DLA_core == 1
    assert trt.calls["config"].default_device_type == trt.DeviceType.DLA
    assert "GPU_FALLBACK" in trt.calls["flags"]
    assert ("FP16" in trt.calls["flags"]) == (version != "11.4.1")
    assert trt.calls["network"] == network
    with pytest.raises(ConfigError, match=r"--dla 2: tensorrt .* has 2 DLA cores"):
        build(Library("tensorrt", trt), onnx_path, BuildOptions(dla=2))


def test_options_and_caches(onnx_path: Path):
    trt = stand_in("10.3.0")
    built = build(
        Library("tensorrt", trt),
        onnx_path,
        BuildOptions(version_compatible=True, tf32=True),
        timing_cache=b"of another GPU",
    )
    assert trt.calls["flags"] == {"VERSION_COMPATIBLE"}
    assert trt.calls["cleared"] == set()
    assert trt.calls["cache"] == [b"of another GPU", b""], "a cache of another GPU is left aside"
    assert built.timing_cache == b"measured"
    with pytest.raises(ConfigError, match="--version-compatible: tensorrt-rtx"):
        build(Library("tensorrt-rtx", trt), onnx_path, BuildOptions(version_compatible=True))


@needs_rtx
def test_a_real_build_says_what_it_was_built_for(onnx_path: Path, tmp_path: Path):
    said: list[str] = []
    options = BuildOptions(BatchRange(1, 2, 4), workspace_mib=64)
    job = Job(onnx_path, tmp_path / "new" / "tiny.plan", "edge/t.onnx", "float32", RTX, tmp_path / "cache", options)
    built = compile_engine(job, said.append)
    assert built == read_sidecar(job.engine)
    assert built.profile == {"values": Shapes((1, 4), (2, 4), (4, 4))}
    assert (built.library, built.onnx, built.precision, built.workspace_mib) == (RTX, "edge/t.onnx", "float32", 64)
    assert bool(built.compute_capability) == bool(gpus())
    assert built.engine_bytes == job.engine.stat().st_size > 1000
    assert "reading the ONNX file" in said
    assert (tmp_path / "cache").stat().st_size > 0
    again = compile_engine(job)  # with the cache of the first build
    assert again.onnx_sha256 == built.onnx_sha256
    assert Job.from_json(job.to_json()) == job


@needs_rtx
def test_what_the_parser_refuses_is_named_with_its_keras_layer(tmp_path: Path):
    name = "mmkeras_1/text_branch_1/norm_1/Foo"
    path = write_onnx(tmp_path / "unknown.onnx", operator="Foo", name=name)
    with pytest.raises(BundleError, match=rf"Foo is not supported, node {name} \(Keras layer text_branch/norm\)"):
        compile_engine(Job(path, tmp_path / "x.plan", library=RTX))
    assert not (tmp_path / "x.plan").exists()


@needs_rtx
def test_damaged_missing_and_misfitting_files(onnx_path: Path, tmp_path: Path):
    content = onnx_path.read_bytes()
    for cut in (content[: len(content) // 2], b"not a model" * 50, b""):
        (tmp_path / "cut.onnx").write_bytes(cut)
        with pytest.raises((BundleError, ExportError), match=r"cut\.onnx"):
            compile_engine(Job(tmp_path / "cut.onnx", tmp_path / "x.plan", library=RTX))
    with pytest.raises(BundleError, match="does not exist"):
        compile_engine(Job(tmp_path / "none.onnx", tmp_path / "x.plan", library=RTX))
    fixed = write_onnx(tmp_path / "fixed.onnx", batch=2)
    with pytest.raises(ConfigError, match="fixed batch size 2"):
        compile_engine(Job(fixed, tmp_path / "x.plan", library=RTX))
    assert not (tmp_path / "x.plan").exists()


@needs_rtx
def test_a_crash_is_a_message(onnx_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    crash = "import os, signal, sys; print('out of luck', file=sys.stderr, flush=True); os.kill(os.getpid(), 11)"
    monkeypatch.setattr(compiling, "run_module", lambda module: [sys.executable, "-c", crash])
    with pytest.raises(ExportError, match=r"killed by SIGSEGV\)\. Last output of the library: out of luck"):
        compile_engine(Job(onnx_path, tmp_path / "x.plan", library=RTX))
    monkeypatch.setattr(compiling, "run_module", lambda module: [sys.executable, "-c", "print('[]')"])
    with pytest.raises(ExportError, match="exit status 0"):
        compile_engine(Job(onnx_path, tmp_path / "x.plan", library=RTX))


@needs_no_gpu
def test_tensorrt_itself_is_not_started_without_a_gpu(onnx_path: Path, tmp_path: Path):
    with pytest.raises(DependencyError, match=r"tensorrt is not installed|tensorrt needs an NVIDIA GPU"):
        compile_engine(Job(onnx_path, tmp_path / "x.plan", library="tensorrt"))
