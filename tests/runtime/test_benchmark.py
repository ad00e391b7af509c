from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mmkeras.bundle import Bundle
from mmkeras.core.errors import MmkerasError
from mmkeras.runtime.benchmark import benchmark, measure


def test_each_file_is_measured_in_its_own_process(bundle: Bundle):
    ballast = np.ones(40_000_000)  # 300 MiB here must not show up there
    files = [file for file in bundle.files if file.accepted and file.precision == "float32"]
    timings = benchmark(bundle, files, runs=30, warmup=3, threads=1)
    assert ballast.nbytes > 3e8
    assert [t.format for t in timings] == ["tflite", "onnx"]
    for timing, file in zip(timings, files, strict=True):
        assert timing.runs == 30
        assert timing.bytes == file.bytes
        assert 0 < timing.p50_ms <= timing.p90_ms <= timing.p99_ms
        assert timing.load_ms > 0
        assert timing.per_second > 0
        assert 20 < timing.peak_mib < 250
        assert timing.answer_p50_ms is not None
        assert timing.answer_p50_ms > timing.p50_ms


def test_in_this_process(exported: Path):
    timing = measure(exported, "tflite", "float16", runs=5, warmup=0)
    assert (timing.engine, timing.threads, timing.device) == ("LiteRT", 1, "cpu")


def test_what_went_wrong_in_the_process_is_said(bundle: Bundle, folder: Path):
    (folder / "edge/tiny.float32.onnx").write_bytes(b"")
    broken = dataclasses.replace(bundle, folder=folder)
    (file,) = [f for f in bundle.files if f.format == "onnx"]
    with pytest.raises(MmkerasError, match=r"could not be measured: .*expected sha256"):
        benchmark(broken, [file], runs=1, warmup=0)
