from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import mmkeras
from mmkeras.bundle import (
    Bundle,
    Golden,
    Manifest,
    digest,
    exported_file,
    manifest,
    resolve,
    write_golden,
    write_manifest,
)
from mmkeras.core.errors import BundleError
from mmkeras.modalities.image.spec import Spec as ImageSpec
from mmkeras.tasks.classification.spec import Spec as TaskSpec
from tests.runtime.conftest import picture_bytes
from tests.tolerances import everywhere

SCHEMA = json.loads((Path(mmkeras.__file__).parent / "schemas" / "manifest.schema.json").read_text())
IMAGE = ImageSpec("image", height=8, width=8)
TASK = TaskSpec(labels=("no", "yes"))


def golden(samples: int = 2) -> Golden:
    return Golden(
        keys=tuple(f"k{i}" for i in range(samples)),
        scenarios=("all", "without_image")[:samples],
        inputs={"image": np.zeros((samples, 8, 8, 3), "uint8"), "image_present": np.ones(samples, "float32")},
        outputs={"probabilities": np.full((samples, 2), 0.5, "float32")},
        targets=np.zeros(samples, "int32"),
        raw=np.array([0, -1])[:samples],
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "saved_models" / "tiny" / "1"
    (folder / "edge").mkdir(parents=True)
    (folder / "variables").mkdir()
    (folder / "edge" / "tiny.tflite").write_bytes(b"weights")
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    golden_files = write_golden(folder, golden(), [{"image": picture_bytes(8), "note": "text", "gone": None}])
    files = (
        exported_file(
            folder, "edge/tiny.tflite", format="tflite", precision="float32", tolerances=everywhere(1), accepted=True
        ),
        exported_file(folder, ".", format="saved_model", precision="float32", tolerances={}, accepted=True),
    )
    write_manifest(
        folder,
        Manifest("tiny", 1, "2025-01-01", (IMAGE.to_json(),), TASK.to_json(), files, golden_files, {"a": [1, {}]}),
    )
    return folder


@pytest.fixture
def rewrite(folder: Path) -> Callable[[Callable[[dict[str, Any]], object]], None]:
    def change(how: Callable[[dict[str, Any]], object]) -> None:
        value = json.loads((folder / "manifest.json").read_text())
        how(value)
        (folder / "manifest.json").write_text(json.dumps(value))

    return change


def test_round_trip(folder: Path):
    bundle = Bundle.open(folder)
    assert bundle.specs == {"image": IMAGE}
    assert bundle.task == TASK
    assert [t.name for t in bundle.inputs] == ["image", "image_present"]
    assert bundle.manifest.provenance == {"a": [1, {}]}
    assert bundle.verify() == {}
    read = bundle.golden()
    assert (read.keys, read.scenarios) == (("k0", "k1"), ("all", "without_image"))
    for field in ("inputs", "outputs"):
        for name, array in getattr(golden(), field).items():
            np.testing.assert_array_equal(getattr(read, field)[name], array)
            assert getattr(read, field)[name].dtype == array.dtype
    (raw,) = bundle.golden_raw()
    assert raw["image"].read_bytes() == picture_bytes(8)
    assert raw["image"].suffix == ".png"
    assert (raw["note"], raw["gone"]) == ("text", None)
    assert not list(folder.rglob("*.tmp")) + list(folder.glob(".*"))


def test_the_manifest_is_readable_and_fits_its_schema(folder: Path):
    text = (folder / "manifest.json").read_text()
    assert text.startswith('{\n  "schema_version": 2,\n  "name": "tiny"')
    jsonschema.validate(json.loads(text), SCHEMA)


@pytest.mark.parametrize(
    ("cls", "schema"),
    [
        (manifest.Manifest, SCHEMA),
        (manifest.ExportedFile, SCHEMA["properties"]["files"]["items"]),
        (manifest.GoldenFiles, SCHEMA["properties"]["golden"]),
    ],
)
def test_schema_and_dataclasses_say_the_same(cls: type, schema: dict[str, Any]):
    fields = dataclasses.fields(cls)
    assert {f.name for f in fields} == set(schema["properties"])
    missing = dataclasses.MISSING
    required = {f.name for f in fields if f.default is missing and f.default_factory is missing}
    assert required == set(schema["required"]) - {"schema_version"}


def test_a_folder_digest_is_that_of_sha256sum(folder: Path):
    lines = "".join(
        subprocess.run(["sha256sum", path], cwd=folder, capture_output=True, text=True, check=True).stdout
        for path in ("saved_model.pb", "variables/variables.index")
    )
    assert digest(folder, ".") == hashlib.sha256(lines.encode()).hexdigest()


def test_the_newest_version_is_taken(folder: Path):
    shutil.copytree(folder, folder.parent / "10")
    shutil.copytree(folder, folder.parent / "9")
    (folder.parent / "11").mkdir()
    assert resolve(folder.parent) == folder.parent / "10"
    assert resolve(folder) == folder
    assert Bundle.open(str(folder.parent)).folder.name == "10"


def test_no_bundle_there(tmp_path: Path):
    with pytest.raises(BundleError, match="no folder"):
        Bundle.open(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"expected a manifest\.json"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("path", ["edge/tiny.tflite", "saved_model.pb", "golden.npz", "golden/0000_image.png"])
def test_an_altered_or_missing_file_is_named(folder: Path, path: str):
    listed = "." if path == "saved_model.pb" else path
    with (folder / path).open("ab") as file:
        file.write(b"!")
    problem = Bundle.open(folder).verify()
    assert list(problem) == [listed]
    assert "expected sha256" in problem[listed]
    assert "copy the bundle again" in problem[listed]
    (folder / path).unlink()
    assert list(Bundle.open(folder).verify()) == [listed]


def test_a_file_is_hashed_when_it_is_loaded_and_once(folder: Path):
    (folder / "golden.npz").write_bytes(b"")
    bundle = Bundle.open(folder)
    file = bundle.files[0]
    assert bundle.load(file.path, file.sha256).read_bytes() == b"weights"
    (folder / file.path).unlink()
    bundle.load(file.path, file.sha256)
    with pytest.raises(BundleError, match=r"golden\.npz is not the file"):
        bundle.golden()


def test_a_truncated_archive_with_a_matching_hash(folder: Path, rewrite: Callable[..., None]):
    content = (folder / "golden.npz").read_bytes()[:200]
    (folder / "golden.npz").write_bytes(content)
    sha = hashlib.sha256(content).hexdigest()
    rewrite(lambda value: value["golden"]["files"].update({"golden.npz": sha}))
    with pytest.raises(BundleError, match=r"golden\.npz cannot be read"):
        Bundle.open(folder).golden()


def test_truncated_json(folder: Path):
    text = (folder / "manifest.json").read_text()
    for length in (0, 1, len(text) // 2, len(text) - 3):
        (folder / "manifest.json").write_text(text[:length])
        with pytest.raises(BundleError, match=r"manifest\.json cannot be read as JSON"):
            Bundle.open(folder)
    for text in ("[]", "null", "3"):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(BundleError, match="expected an object"):
            Bundle.open(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(schema_version=1), r"schema_version: expected 2, got 1.*Use the mmkeras version"),
        (lambda v: v.pop("schema_version"), "schema_version: expected 2, got None"),
        (lambda v: v.pop("files"), r"manifest\.json: files: missing"),
        (lambda v: v.update(version="1"), "version: expected int, got '1'"),
        (lambda v: v.update(version=True), "version: expected int, got True"),
        (lambda v: v["files"][0].update(accepted=1), r"files\[0\].accepted: expected bool, got 1"),
        (
            lambda v: v["files"][1].update(tolerances={"all": {"y": ["x"]}}),
            r"files\[1\].tolerances.all.y\[0\]: expected float, got 'x'",
        ),
        (lambda v: v["files"][1].update(tolerance=10**400), "cannot be read as JSON: the number 10+... of 401 digits"),
        (lambda v: v["files"][1].update(tolerance=float("inf")), "cannot be read as JSON: Infinity is no number"),
        (lambda v: v["modalities"][0].update(name=["x"]), r"modalities\[0\].*its name is"),
        (lambda v: v["modalities"].append(v["modalities"][0]), r"modalities\[1\].name: 'image' is there twice"),
        (lambda v: v["modalities"][0].update(height="8"), r"modalities\[0\].*cannot read it as 'image'"),
        (lambda v: v["task"].update(labels=None), "task: .*cannot read it as 'classification'"),
        (lambda v: v["files"][1].pop("sha256"), r"files\[1\].sha256: missing"),
        (lambda v: v["files"][0].update(sha265="x"), r"sha265: unknown key; did you mean 'sha256'"),
        (lambda v: v.update(files={}), "files: expected an array, got an object"),
        (lambda v: v["golden"]["files"].update(x=None), r"golden.files.x: expected str, got null"),
        (lambda v: v["modalities"].append(3), r"modalities\[1\]: expected an object, got 3"),
        (lambda v: v["modalities"][0].update(kind="imag"), r"modalities\[0\].*did you mean 'image'"),
        (lambda v: v["modalities"][0].pop("kind"), r"modalities\[0\].kind: expected a component's name"),
        (lambda v: v["modalities"][0].pop("name"), r"modalities\[0\].*cannot read it as 'image'"),
        (lambda v: v["task"].update(kind="clasification"), "task: .*did you mean 'classification'"),
        (lambda v: v["task"].pop("labels"), "task: .*cannot read it as 'classification'"),
    ],
)
def test_damaged_keys_are_named(folder: Path, rewrite: Callable[..., None], change: Callable[..., Any], message: str):
    rewrite(change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(folder)


def test_golden_samples_of_another_model(folder: Path, rewrite: Callable[..., None]):
    rewrite(lambda value: value["modalities"][0].update(height=9))
    with pytest.raises(BundleError, match=r"inputs/image: expected shape \(S, \*\(9, 8, 3\)\), got"):
        Bundle.open(folder).golden()


def test_golden_without_a_hash(folder: Path, rewrite: Callable[..., None]):
    rewrite(lambda value: value["golden"]["files"].pop("golden.npz"))
    with pytest.raises(BundleError, match=r"golden.files: golden.npz is missing"):
        Bundle.open(folder).golden()


def test_nothing_is_written_that_could_not_be_read(folder: Path):
    before = (folder / "manifest.json").read_bytes()
    good = Bundle.open(folder).manifest
    bad = [
        dataclasses.replace(good, version="1"),  # type: ignore[arg-type]
        dataclasses.replace(good, provenance={"loss": float("nan")}),
        dataclasses.replace(good, provenance={"path": Path("x")}),
    ]
    for value in bad:
        with pytest.raises(BundleError):
            write_manifest(folder, value)
    assert (folder / "manifest.json").read_bytes() == before


def test_golden_arrays_must_belong_together(tmp_path: Path):
    short = dataclasses.replace(golden(), targets=np.zeros(1))
    with pytest.raises(BundleError, match="targets: expected 2 samples"):
        write_golden(tmp_path, short, [{}])
    with pytest.raises(BundleError, match="expected indices from -1 to -1"):
        write_golden(tmp_path, golden(), [])
    mixed = dataclasses.replace(golden(), targets=np.array([None, 1]))
    with pytest.raises(BundleError, match="targets: expected numbers or strings"):
        write_golden(tmp_path, mixed, [{}])


def test_a_raw_text_is_a_text(folder: Path, rewrite: Callable[..., None]):
    (folder / "golden" / "raw.json").write_text(json.dumps([{"key": "k", "values": {"text": {"text": ["a"]}}}]))
    sha = digest(folder, "golden/raw.json")
    rewrite(lambda value: value["golden"]["files"].update({"golden/raw.json": sha}))
    with pytest.raises(BundleError, match=r"raw\.json cannot be read: .*expected a text, got \['a'\]"):
        Bundle.open(folder).golden_raw()


def test_nothing_outside_the_bundle_is_read(folder: Path, rewrite: Callable[..., None]):
    outside = folder.parent / "secret"
    outside.write_bytes(b"x")
    for path in ("../secret", str(outside)):
        with pytest.raises(BundleError, match="lies outside the bundle"):
            Bundle.open(folder).load(path, digest(folder.parent, "secret"))
    raw = json.dumps([{"key": "k", "values": {"image": {"file": "../../secret"}}}])
    (folder / "golden" / "raw.json").write_text(raw)
    sha = digest(folder, "golden/raw.json")
    rewrite(lambda value: value["golden"]["files"].update({"golden/raw.json": sha}))
    with pytest.raises(BundleError, match="lies outside"):
        Bundle.open(folder).golden_raw()
