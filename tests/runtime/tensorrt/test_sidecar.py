"""What stands beside an engine is read like anything from outside: it fits, or one clear error."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkeras.core.errors import BundleError
from mmkeras.runtime.tensorrt.cuda import Gpu
from mmkeras.runtime.tensorrt.sidecar import BuiltFor, read_sidecar, sidecar_path, write_sidecar

ORIN = Gpu(0, "Orin", "8.7", 1 << 33, True)


@pytest.fixture
def engine(tmp_path: Path, built: BuiltFor) -> Path:
    path = tmp_path / "tiny.plan"
    path.write_bytes(b"engine")
    write_sidecar(path, replace(built, engine_sha256=hashlib.sha256(b"engine").hexdigest()))
    return path


def test_what_is_written_is_read(engine: Path, built: BuiltFor):
    read = read_sidecar(engine)
    assert replace(read, engine_sha256=built.engine_sha256) == built


def test_an_engine_without_a_sidecar_or_of_another_build_is_refused(engine: Path):
    engine.write_bytes(b"another")
    with pytest.raises(BundleError, match=r"tiny.plan is not the engine that tiny.plan.json describes: .*build-engine"):
        read_sidecar(engine)
    assert read_sidecar(engine, check=False).engine_bytes == 6
    engine.unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        read_sidecar(engine)
    sidecar_path(engine).unlink()
    with pytest.raises(BundleError, match=r"tiny.plan.json with its GPU and TensorRT version is missing"):
        read_sidecar(engine)


def test_a_machine_that_fits(built: BuiltFor):
    assert built.mismatches("tensorrt", "10.3.0", ORIN) == []
    compatible = replace(built, version_compatible=True)
    assert compatible.mismatches("tensorrt", "10.7.0", ORIN) == []
    assert compatible.mismatches("tensorrt", "11.0.0", ORIN) == []
    assert replace(compatible, library_version="8.6.1").mismatches("tensorrt", "10.0.1", ORIN) == []
    anywhere = replace(built, library="tensorrt-rtx", gpu="", compute_capability="")
    assert anywhere.mismatches("tensorrt-rtx", "10.3.0", Gpu(0, "RTX 4090", "8.9", 1, False)) == []


@pytest.mark.parametrize(
    ("changes", "library", "version", "gpu", "said"),
    [
        ({}, "tensorrt", "10.7.0", ORIN, "built by tensorrt 10.3.0, installed is 10.7.0; later versions load one"),
        ({}, "tensorrt-rtx", "1.7", ORIN, "built by tensorrt 10.3.0, installed is tensorrt-rtx 1.7"),
        ({}, "tensorrt", "10.3.0", replace(ORIN, compute_capability="9.0", name="H100"), "this GPU is H100"),
        ({}, "tensorrt", "10.3.0", replace(ORIN, name="Orin Nano"), "this GPU is Orin Nano"),
        ({"version_compatible": True}, "tensorrt", "10.2.0", ORIN, "installed is 10.2.0"),
        ({"version_compatible": True, "library_version": "8.6.1"}, "tensorrt", "11.0.0", ORIN, "installed is 11.0.0"),
        ({"version_compatible": True}, "tensorrt", "what", ORIN, "installed is what"),
    ],
)
def test_a_machine_that_does_not(
    built: BuiltFor, changes: dict[str, Any], library: str, version: str, gpu: Gpu, said: str
):
    (problem,) = replace(built, **changes).mismatches(library, version, gpu)
    assert said in problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_damage_is_read_or_refused(engine: Path, data: st.DataObject):
    good = {"schema_version": 1, **json.loads(json.dumps(asdict(read_sidecar(engine, check=False))))}
    path = sidecar_path(engine)
    kept = path.read_bytes()
    try:
        value: Any = dict(good)
        where = data.draw(st.sampled_from([*good, "new", "values", "min"]))
        if where in ("values", "min"):
            value["profile"] = (
                {"values": data.draw(JSON)} if where == "values" else {"values": {"min": data.draw(JSON)}}
            )
        elif data.draw(st.booleans()):
            value[where] = data.draw(JSON)
        else:
            value.pop(where, None)
        text = json.dumps(data.draw(st.sampled_from([value, [value], None]))).encode()
        cut = data.draw(st.integers(0, len(text)))
        path.write_bytes(text if data.draw(st.booleans()) else text[:cut])
        try:
            read = read_sidecar(engine, check=False)
        except BundleError:
            pass
        else:
            assert read.mismatches("tensorrt", "10.3.0", ORIN) is not None
            assert all(shape.min <= shape.max for shape in read.profile.values())
    finally:
        path.write_bytes(kept)


def test_a_huge_or_binary_sidecar_is_refused(engine: Path):
    sidecar_path(engine).write_bytes(b"\xff\xfe" * 40)
    with pytest.raises(BundleError, match="cannot be read as JSON"):
        read_sidecar(engine)
    sidecar_path(engine).write_bytes(b" " * (1 << 21))
    with pytest.raises(BundleError, match="a few kilobytes"):
        read_sidecar(engine)
    sidecar_path(engine).write_bytes(b"[" * 100_000)
    with pytest.raises(BundleError, match="cannot be read as JSON"):
        read_sidecar(engine)
