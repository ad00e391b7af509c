"""How an engine is run: memory once, copies where they are needed, a graph where shapes are static."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmkeras.core.errors import BundleError
from mmkeras.runtime.runner import runners
from mmkeras.runtime.tensorrt import cuda, library
from mmkeras.runtime.tensorrt.cuda import Gpu
from mmkeras.runtime.tensorrt.execution import Execution, dtype_of
from mmkeras.runtime.tensorrt.library import Library
from mmkeras.runtime.tensorrt.sidecar import BuiltFor, Shapes, write_sidecar
from tests.runtime.tensorrt.machine import MATRIX, Driver, runtime

CARD = Gpu(0, "Card", "8.9", 1 << 30, integrated=False)
JETSON = Gpu(0, "Orin", "8.7", 1 << 30, integrated=True)


def profile(low: int, high: int) -> dict[str, Shapes]:
    return {"values": Shapes((low, 4), (low, 4), (high, 4))}


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, built: BuiltFor):
    """Return a function that loads an engine on a stand-in machine, and that machine's driver."""

    def load(low: int, high: int, gpu: Gpu = CARD, **options: Any) -> tuple[Execution, Driver]:
        driver = Driver(**options)
        monkeypatch.setattr(cuda, "driver", lambda: driver)
        path = tmp_path / "x.plan"
        path.write_bytes(b"engine")
        sidecar = replace(built, profile=profile(low, high))
        return Execution(Library("tensorrt", runtime(driver, high)), path, sidecar, gpu), driver

    return load


def values(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"values": np.random.default_rng(seed).normal(size=(rows, 4)).astype("float32")}


@pytest.mark.parametrize("gpu", [CARD, JETSON])
@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 8), (3, 3), (2, 8)])
def test_every_batch_size_is_answered_and_memory_is_taken_once(make, low: int, high: int, gpu: Gpu):
    execution, driver = make(low, high, gpu)
    taken = dict(driver.blocks)
    kept = []
    for seed, rows in enumerate([1, high, 1, max(1, high - 1), high]):
        given = values(rows, seed)
        outputs = execution.run(given)
        assert outputs["result"].shape == (rows, 3)
        kept.append((given["values"] @ MATRIX, outputs["result"]))
    for expected, got in kept:  # later runs leave earlier answers alone
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    assert driver.blocks == taken
    execution.close()
    execution.close()
    assert driver.blocks == {}


def test_static_shapes_are_recorded_once_and_replayed(make):
    execution, driver = make(1, 1)
    for seed in range(4):
        execution.run(values(1, seed))
    assert (driver.calls["cuStreamBeginCapture_v2"], driver.calls["cuGraphLaunch"]) == (1, 3)
    execution, driver = make(1, 4)
    for seed in range(4):
        execution.run(values(4, seed))
    assert driver.calls["cuStreamBeginCapture_v2"] == 0
    execution.close()


def test_an_engine_that_cannot_be_recorded_runs_step_by_step(make):
    execution, driver = make(1, 1, recordable=False)
    for seed in range(3):
        given = values(1, seed)
        np.testing.assert_allclose(execution.run(given)["result"], given["values"] @ MATRIX, rtol=1e-5)
    assert (driver.calls["cuStreamBeginCapture_v2"], driver.calls["cuGraphLaunch"]) == (1, 0)


def test_shared_memory_is_not_copied(make):
    execution, driver = make(1, 4, JETSON)
    execution.run(values(2))
    assert driver.calls["cuMemcpyHtoDAsync_v2"] == driver.calls["cuMemAlloc_v2"] == 0
    execution, driver = make(1, 4, CARD)
    execution.run(values(2))
    assert (driver.calls["cuMemcpyHtoDAsync_v2"], driver.calls["cuMemcpyDtoHAsync_v2"]) == (1, 1)


def test_what_cannot_be_loaded_gives_its_memory_back(make, built: BuiltFor, tmp_path: Path):
    _, driver = make(1, 1)
    (tmp_path / "bad.plan").write_bytes(b"damaged")
    trt = Library("tensorrt", runtime(driver, 1))
    with pytest.raises(BundleError, match=r"tensorrt cannot load .*bad\.plan"):
        Execution(trt, tmp_path / "bad.plan", replace(built, profile=profile(1, 1)), CARD)
    other = {"pixels": Shapes((1, 4), (1, 4), (1, 4))}
    with pytest.raises(BundleError, match=r"expected the inputs \['pixels'\] of its sidecar, got \['values'\]"):
        Execution(trt, tmp_path / "x.plan", replace(built, profile=other), CARD)
    assert driver.calls["cuDevicePrimaryCtxRelease_v2"] == 2
    with pytest.raises(BundleError, match="got FP8"):
        dtype_of("DataType.FP8")


def test_the_runner_splits_and_fills_and_explains_a_mismatch(
    make, monkeypatch: pytest.MonkeyPatch, built: BuiltFor, tmp_path: Path
):
    _, driver = make(2, 4)
    monkeypatch.setattr(library, "installed", lambda: ("tensorrt",))
    monkeypatch.setattr(library, "gpus", lambda: (CARD,))
    monkeypatch.setattr(cuda, "gpus", lambda: (CARD,))
    trt = Library("tensorrt", runtime(driver, 4))
    monkeypatch.setattr(library, "open_library", lambda name=None: trt)
    engine = tmp_path / "x.plan"
    right = replace(built, engine_sha256=hashlib.sha256(b"engine").hexdigest(), profile=profile(2, 4))
    write_sidecar(engine, replace(right, gpu="Card", compute_capability="8.9"))
    with runners()["tensorrt"](engine, device="tensorrt") as runner:
        assert [(t.name, t.shape, t.dtype) for t in runner.inputs] == [("values", (4,), "float32")]
        for rows in (1, 4, 5, 11):
            given = values(rows)
            np.testing.assert_allclose(runner.infer(given)["result"], given["values"] @ MATRIX, rtol=1e-5)
    write_sidecar(engine, right)
    with pytest.raises(
        BundleError, match=r"built on Orin .*this GPU is Card .*mmkeras build-engine .* --precision float"
    ):
        runners()["tensorrt"](engine, device="tensorrt").activate()
