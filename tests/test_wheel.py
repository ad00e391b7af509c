"""Builds the wheel and runs it in an empty environment, on Python 3.10 where there is one: what a device gets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.runtime import conftest as bundles
from tests.toys.tables import picture

ROOT = Path(__file__).resolve().parent.parent

# The fixtures that make a real bundle.
exported = bundles.exported
images = bundles.images


def _run(command: Sequence[object], cwd: Path) -> subprocess.CompletedProcess[str]:
    # The checkout must not be importable: what is tested is the wheel.
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd, env=environment
    )


def _python_310() -> str:
    """Return a Python 3.10, or the running one where there is none."""
    places = [shutil.which("python3.10"), os.environ.get("MMKERAS_PYTHON310")]
    places += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.10*/bin/python3.10"))]
    pyenv = os.environ.get("PYENV_ROOT")
    if pyenv:
        places += [str(path) for path in sorted(Path(pyenv).glob("versions/3.10*/bin/python3.10"))]
    for place in places:
        # A pyenv shim exists for versions that are not active, and fails.
        if place and _run([place, "-c", "import venv, ensurepip"], ROOT).returncode == 0:
            return place
    return sys.executable


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    source = tmp_path_factory.mktemp("source")
    for name in ("mmkeras", "export", "pipelines"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    done = _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source], source)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def device(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The Python of an empty environment with the wheel and its base dependencies."""
    folder = tmp_path_factory.mktemp("device")
    done = _run([_python_310(), "-m", "venv", folder / "venv"], folder)
    assert done.returncode == 0, done.stderr
    python = folder / "venv" / "bin" / "python"
    _install(python, wheel)
    return python


def _install(python: Path, *what: str | Path) -> None:
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    done = _run([*pip, "install", "--quiet", *what], python.parent)
    if done.returncode:
        if _run([*pip, "download", "--quiet", "--no-deps", "tomli"], python.parent).returncode:
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
    done = _run(
        [sys.executable, "-c", "import export, pipelines; print(export.__file__, pipelines.__file__)"], tmp_path
    )
    assert done.stdout.count(str(tmp_path)) == 2, done.stdout + done.stderr
    for command, expected in (
        (["pipelines.vqa", "--print_config"], "[model.fusion.options]"),
        (["export", "--help"], "--formats"),
    ):
        done = _run([sys.executable, "-m", *command], tmp_path)
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
    done = _run([device, "-W", "error", "-c", script], device.parent)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert str(device.parent.parent) in found["home"]
    assert not {"tensorflow", "keras", "keras_nlp", "onnxruntime", "ai_edge_litert"} & set(found["modules"])
    for command in ([device.parent / "mmkeras", "--help"], [device, "-m", "mmkeras", "--help"]):
        done = _run(command, device.parent)
        assert done.returncode == 0, done.stderr
        assert "selftest" in done.stdout


def test_without_an_engine_it_says_what_to_install(device: Path, exported: Path):
    mmkeras = device.parent / "mmkeras"
    done = _run([mmkeras, "predict", exported, "--text", "what?"], device.parent)
    assert done.returncode == 1
    assert "LiteRT is not installed" in done.stderr
    assert "pip install 'mmkeras[litert]'" in done.stderr
    done = _run([mmkeras, "selftest", exported], device.parent)
    assert done.returncode == 1
    assert "No file could be run" in done.stdout
    done = _run([mmkeras, "inspect", exported], device.parent)
    assert done.returncode == 0, done.stderr
    done = _run([mmkeras, "fit", "t.csv", "--target", "y"], device.parent)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'mmkeras[train,export]'" in done.stderr


@pytest.mark.slow
def test_the_engines_prove_the_bundle_there(device: Path, exported: Path):
    _install(device, "ai-edge-litert>=2.1", "onnxruntime>=1.23")
    mmkeras = device.parent / "mmkeras"
    done = _run([mmkeras, "selftest", exported], device.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "selftest passed: 3 passed, 1 rejected" in done.stdout
    done = _run([mmkeras, "predict", exported, "--text", "what shape is it?", "--json"], device.parent)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in ("circle", "red", "square")
    done = _run([mmkeras, "benchmark", exported, "--runs", "5"], device.parent)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_with_its_extras_it_fits_exports_and_predicts_away_from_the_checkout(tmp_path: Path, wheel: Path):
    done = _run([sys.executable, "-m", "venv", tmp_path / "venv"], tmp_path)
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
    done = _run([mmkeras, "fit", "samples.csv", "--target", "sick", "--train.epochs", "2"], tmp_path)
    assert (tmp_path / "saved_models" / "samples" / "1" / "manifest.json").is_file(), done.stdout + done.stderr
    cells = ["--text", "cough since night", "--row", '{"age": 40}']
    done = _run([mmkeras, "predict", "saved_models/samples/1", "--image", "3.png", *cells, "--json"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in ("yes", "no")
    export = ["--formats", "tflite", "--precisions", "float32"]
    done = _run([mmkeras, "export", "runs/samples/latest", *export], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = _run([mmkeras, "train", "vqa", "--print_config"], tmp_path)
    assert done.returncode == 0, done.stderr
