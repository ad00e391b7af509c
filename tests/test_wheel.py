"""Builds the wheel and runs it in an empty environment, on Python 3.10 where there is one: what a device gets."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.runtime import conftest as bundles
from tests.toys.tables import picture
from tests.wheels import ROOT, build_wheel, run_outside

# The fixtures that make a real bundle.
exported = bundles.exported
images = bundles.images


def _python_310() -> str:
    """Return a Python 3.10, or the running one where there is none."""
    places = [shutil.which("python3.10"), os.environ.get("MMKERAS_PYTHON310")]
    places += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.10*/bin/python3.10"))]
    pyenv = os.environ.get("PYENV_ROOT")
    if pyenv:
        places += [str(path) for path in sorted(Path(pyenv).glob("versions/3.10*/bin/python3.10"))]
    for place in places:
        # A pyenv shim exists for versions that are not active, and fails.
        if place and run_outside([place, "-c", "import venv, ensurepip"], ROOT).returncode == 0:
            return place
    return sys.executable


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The Python of an empty environment with the wheel and its base dependencies."""
    folder = tmp_path_factory.mktemp("device")
    done = run_outside([_python_310(), "-m", "venv", folder / "venv"], folder)
    assert done.returncode == 0, done.stderr
    python = folder / "venv" / "bin" / "python"
    _install(python, wheel)
    return python


def _install(python: Path, *what: str | Path) -> None:
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    done = run_outside([*pip, "install", "--quiet", *what], python.parent)
    if done.returncode:
        if run_outside([*pip, "download", "--quiet", "--no-deps", "tomli"], python.parent).returncode:
            pytest.skip("no package index reachable")
        pytest.fail(done.stdout + done.stderr)


def test_the_wheel_holds_the_three_packages_alone(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith("METADATA")]
        text = archive.read(metadata).decode()
        (scripts,) = [archive.read(name).decode() for name in names if name.endswith("entry_points.txt")]
    assert {name.split("/")[0] for name in names} == {"mmkeras", "export", "pipelines", metadata.split("/")[0]}
    assert "mmkeras/schemas/manifest.schema.json" in names
    assert scripts.split() == ["[console_scripts]", "mmkeras", "=", "mmkeras.runtime.cli:main"]
    assert "Requires-Python: >=3.10" in text
    base = [line for line in text.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert not [line for line in base if "tensorflow" in line or "keras" in line], base


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path):
    """Data files that modules read must travel with them."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("mmkeras", "export", "pipelines")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not wanted - names


def test_pipelines_and_exports_run_outside_the_checkout(tmp_path: Path, wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    done = run_outside(
        [sys.executable, "-c", "import export, pipelines; print(export.__file__, pipelines.__file__)"], tmp_path
    )
    assert done.stdout.count(str(tmp_path)) == 2, done.stdout + done.stderr
    for command, expected in (
        (["pipelines.vqa", "--print_config"], "[model.fusion.options]"),
        (["export", "--help"], "--formats"),
    ):
        done = run_outside([sys.executable, "-m", *command], tmp_path)
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout


def test_an_empty_environment_runs_it_without_tensorflow(device: Path):
    script = """
import json, sys
import mmkeras, mmkeras.runtime, mmkeras.runtime.selftest, mmkeras.runtime.benchmark, mmkeras.runtime.tables
from mmkeras.core.components import find, names
for family in ("modalities", "tasks"):
    for name in names(family):
        find(family, name, "spec")
print(json.dumps({"home": mmkeras.__file__, "modules": sorted({m.split(".")[0] for m in sys.modules}),
                  "version": mmkeras.__version__, "python": sys.version_info[:2]}))
"""
    done = run_outside([device, "-W", "error", "-c", script], device.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert str(device.parent.parent) in found["home"]
    assert not {"tensorflow", "keras", "keras_nlp", "onnxruntime", "ai_edge_litert"} & set(found["modules"])
    for command in ([device.parent / "mmkeras", "--help"], [device, "-m", "mmkeras", "--help"]):
        done = run_outside(command, device.parent)
        assert done.returncode == 0, done.stderr
        assert "selftest" in done.stdout


def test_without_an_engine_it_says_what_to_install(device: Path, exported: Path):
    mmkeras = device.parent / "mmkeras"
    done = run_outside([mmkeras, "predict", exported, "--text", "what?"], device.parent)
    assert done.returncode == 1
    assert "LiteRT is not installed" in done.stderr
    assert "pip install 'mmkeras[litert]'" in done.stderr
    done = run_outside([mmkeras, "selftest", exported], device.parent)
    assert done.returncode == 1
    assert "No file could be run" in done.stdout
    done = run_outside([mmkeras, "inspect", exported], device.parent)
    assert done.returncode == 0, done.stderr
    done = run_outside([mmkeras, "fit", "t.csv", "--target", "y"], device.parent)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'mmkeras[train,export]'" in done.stderr


@pytest.mark.slow
def test_the_engines_prove_the_bundle_there(device: Path, exported: Path):
    _install(device, "ai-edge-litert>=2.1", "onnxruntime>=1.23")
    mmkeras = device.parent / "mmkeras"
    done = run_outside([mmkeras, "selftest", exported], device.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "selftest passed: 3 passed, 1 rejected" in done.stdout
    done = run_outside([mmkeras, "predict", exported, "--text", "what shape is it?", "--json"], device.parent)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in ("circle", "red", "square")
    done = run_outside([mmkeras, "benchmark", exported, "--runs", "5"], device.parent)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_with_its_extras_it_fits_exports_and_predicts_away_from_the_checkout(tmp_path: Path, wheel: Path):
    done = run_outside([sys.executable, "-m", "venv", tmp_path / "venv"], tmp_path)
    assert done.returncode == 0, done.stderr
    python = tmp_path / "venv" / "bin" / "python"
    _install(python, "--constraint", ROOT / "constraints.txt", f"{wheel}[train,export]")
    rng = np.random.default_rng(0)
    lines = ["scan,note,age,sick"]
    for row in range(120):
        colour = str(rng.choice(["red", "blue"]))
        words = " ".join(rng.choice(["cough", "fever", "pain", "night", "left", "arm", "since"], 6))
        name = picture(tmp_path / f"{row}.png", colour, row)
        lines.append(f"{name},{words},{rng.integers(20, 80)},{'yes' if colour == 'red' else 'no'}")
    (tmp_path / "samples.csv").write_text("\n".join(lines), encoding="utf-8")
    mmkeras = python.parent / "mmkeras"
    done = run_outside([mmkeras, "fit", "samples.csv", "--target", "sick", "--train.epochs", "2"], tmp_path)
    assert (tmp_path / "saved_models" / "samples" / "1" / "manifest.json").is_file(), done.stdout + done.stderr
    cells = ["--text", "cough since night", "--row", '{"age": 40}']
    done = run_outside([mmkeras, "predict", "saved_models/samples/1", "--image", "3.png", *cells, "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in ("yes", "no")
    export = ["--formats", "tflite", "--precisions", "float32"]
    done = run_outside([mmkeras, "export", "runs/samples/latest", *export], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "new.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines[:9]), encoding="utf-8")
    done = run_outside(
        [mmkeras, "predict", "saved_models/samples", "--table", "new.csv", "--out", "answers.csv"], tmp_path
    )
    assert "8 of 8 rows answered" in done.stdout, done.stderr
    done = run_outside([mmkeras, "evaluate", "saved_models/samples", "--data", "samples.csv"], tmp_path)
    assert (tmp_path / "evaluation-samples-samples" / "report.html").is_file(), done.stdout + done.stderr
    program = (
        'import mmkeras; run = mmkeras.fit("samples.csv", "sick", name="again", options={"train.epochs": 1}); '
        'print(run.export("tflite", precision="float32").predict(image="3.png", text="cough")["label"])'
    )
    done = run_outside([python, "-c", program], tmp_path)
    assert done.stdout.split()[-1] in ("yes", "no"), done.stdout + done.stderr
    done = run_outside([mmkeras, "train", "vqa", "--print_config"], tmp_path)
    assert done.returncode == 0, done.stderr
