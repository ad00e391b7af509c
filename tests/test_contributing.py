"""Builds the example of CONTRIBUTING.md from the page itself and takes it from a log to a verified bundle."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def files_of_the_page() -> dict[str, str]:
    """Return the code blocks that begin with the path of a file, by that path."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    blocks = re.findall(r"```(?:python|toml)\n# ((?:mmkeras|pipelines)/\S+)\n(.*?)```", page, re.DOTALL)
    return dict(blocks)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for package in ("mmkeras", "export", "pipelines"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in files_of_the_page().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name.startswith(("mmkeras/modalities", "mmkeras/tasks")):
            (path.parent / "__init__.py").touch()
    rng = np.random.default_rng(0)
    with (folder / "machine.jsonl").open("w", encoding="utf-8") as log:
        for number in range(120):
            count, shift = int(rng.integers(0, 4)), rng.integers(0, 3)
            pixels = rng.integers(0, 60, (32, 32, 3)).astype("uint8")
            pixels[4:28, 2 : 2 + 8 * count : 2] = 250
            Image.fromarray(pixels).save(folder / f"{number}.png")
            sensor = " ".join(f"{count + 0.1 * shift * np.sin(step):.3f}" for step in range(8))
            row = {"picture": f"{number}.png", "sensor": sensor, "count": count, "machine": f"{number % 20}"}
            log.write(json.dumps(row) + "\n")
        log.write('{"picture": "0.png"}\n')
    return folder


def run(folder: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**environment, "COLUMNS": "120"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_holds_one_component_of_each_kind() -> None:
    assert {name.rpartition("/")[0] for name in files_of_the_page()} >= {
        *("mmkeras/fusion", "mmkeras/modalities/readings", "mmkeras/tasks/count", "mmkeras/data/sources"),
        *("pipelines", "pipelines/configs"),
    }


def test_they_go_from_a_log_to_a_verified_bundle(page: Path) -> None:
    few = ["--data.max_bad_share", "0.05", "--train.epochs", "2", "--train.batch_size", "16", "--model.width", "16"]
    printed = run(page, "pipelines.machine", *few, "--export.precisions", "float32", "--export.samples", "32")
    written = json.loads((page / "saved_models/machine/1/export.json").read_text("utf-8"))
    accepted = {file["format"] for file in written["files"] if file["accepted"]}
    assert accepted == {"saved_model", "tflite", "onnx"}, printed
    (quarantine,) = page.glob(".cache/data/machine_log-*/quarantine.csv")
    assert "machine.jsonl:121" in quarantine.read_text("utf-8")
    bundle = str(page / "saved_models/machine/1")
    answer = run(
        page, "mmkeras", "predict", bundle, "--camera", str(page / "3.png"), "--sensor", "1 1 1 1 1 1 1 1", "--json"
    )
    assert set(json.loads(answer)) >= {"count"}
    assert "selftest passed" in run(page, "mmkeras", "selftest", bundle)
