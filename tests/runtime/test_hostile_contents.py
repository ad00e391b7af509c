"""Packed bundles whose hashes fit and whose contents were made to harm: answered by errors of mmkeras alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmkeras.bundle import Bundle
from mmkeras.bundle.golden import read_golden, read_raw
from mmkeras.core.errors import BundleError, MmkerasError
from mmkeras.runtime.cli import main
from tests.bundle.archive.hostile import assemble

QUICK = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# A fixed list: numbers and texts that hypothesis makes up depend on which modules are loaded meanwhile.
LEAVES: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 7, 10**12, 10**400, 0.5, -0.5, 1e308),
        *("", ".", "..", "edge", "image", "text", "all", "__main__.py", "golden.npz", "ä\x00", "a" * 5000, "0" * 64),
        *("../../etc/passwd", "/etc/passwd", "golden/../manifest.json", "mmkeras", "1e400"),
        *([], [1], [None], [[]], ["a", "a"], {}, {"a": 1}, {"kind": "image"}, {"file": "../x"}),
    ]
)


@pytest.fixture(scope="session")
def members(exported: Path) -> dict[str, Any]:
    """The tiny bundle by member name."""
    files = [path for path in exported.rglob("*") if path.is_file() and "rejected" not in path.parts]
    return {"__main__.py": b"", **{path.relative_to(exported).as_posix(): path.read_bytes() for path in files}}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return value


def use(path: Path) -> None:
    with Bundle.open(path) as bundle:
        bundle.verify()
        bundle.golden()
        bundle.golden_raw()


@QUICK
@given(data=st.data())
def test_any_value_in_the_manifest(members: dict[str, Any], tmp_path: Path, data: st.DataObject):
    manifest = json.loads(members["manifest.json"])
    path = data.draw(st.sampled_from([place for place in places(manifest) if place]))
    changed = replaced(manifest, path, data.draw(LEAVES))
    content = {**members, "manifest.json": json.dumps(changed).encode()}
    mmk = assemble(tmp_path / "x.mmk", content)
    try:
        use(mmk)
        refused = ""
    except MmkerasError as error:
        refused = str(error)
    assert "mmkeras-" not in refused.replace(str(tmp_path), ""), "the user knows no temporary folder"


@QUICK
@given(data=st.data())
def test_any_bytes_in_the_golden_samples(members: dict[str, Any], tmp_path: Path, data: st.DataObject):
    name = data.draw(st.sampled_from(["golden.npz", "golden/raw.json"]))
    content = bytearray(members[name])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "golden").mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    try:
        read_golden(tmp_path) if name == "golden.npz" else read_raw(tmp_path)
        refused = name
    except BundleError as error:
        refused = str(error)
    assert name in refused


@pytest.mark.parametrize("command", ["selftest", "predict", "benchmark", "inspect", "diff"])
def test_a_command_answers_in_one_line(
    members: dict[str, Any], tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
):
    manifest = json.loads(members["manifest.json"])
    manifest["modalities"][0]["height"] = 10**15
    mmk = assemble(tmp_path / "x.mmk", {**members, "manifest.json": json.dumps(manifest).encode()})
    arguments = {"predict": ["--text", "what?"], "diff": [str(mmk)]}.get(command, [])
    status = main([command, str(mmk), *arguments])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert status == (0 if command in ("inspect", "diff") else 1)
