"""Real processes: one is killed or interrupted in the middle, goes on, and ends with the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.tiny import write_tiny_config, write_tiny_table

_TRAINING = """
[train]
epochs = 3
batch_size = 4
steps_per_epoch = 40
checkpoint_steps = 7
deterministic = true
ema = 0.9
"""


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.vqa", "--skip_export", *arguments]


def _config(folder: Path) -> Path:
    path = write_tiny_config(folder, write_tiny_table(folder))
    text = path.read_text()
    path.write_text(text[: text.index("[train]")] + _TRAINING + text[text.index("[evaluate]") :])
    return path


def _weights(folder: Path) -> dict[str, np.ndarray]:
    run = (folder / "runs" / "tiny" / "latest").resolve()
    (checkpoint,) = (run / "checkpoints").glob("step-*")
    assert checkpoint.name == "step-00000120"
    found: dict[str, np.ndarray] = {}
    with h5py.File(checkpoint / "state.weights.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    subprocess.run(_command("--config", str(_config(folder))), cwd=REPOSITORY, check=True, capture_output=True)
    return _weights(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, uninterrupted, number):
    config = _config(tmp_path)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        _command("--config", str(config)),
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob("runs/tiny/*/checkpoints/step-*")):
            assert process.poll() is None, process.communicate()[0].decode()
            assert time.monotonic() < deadline, "no checkpoint in four minutes"
            time.sleep(0.02)
        process.send_signal(number)
        output, _ = process.communicate(timeout=240)
    text = " ".join(output.decode().split())
    (run,) = (path for path in (tmp_path / "runs" / "tiny").iterdir() if not path.is_symlink())
    if number == signal.SIGINT:
        assert process.returncode == 130, text
        assert "Training stopped by SIGINT after step" in text
        assert "Go on with: python -m pipelines.vqa --resume" in text
    else:
        assert process.returncode == -signal.SIGKILL
    done = subprocess.run(_command("--resume", str(run)), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    weights = _weights(tmp_path)
    assert weights.keys() == uninterrupted.keys()
    different = [name for name, value in uninterrupted.items() if not np.array_equal(value, weights[name])]
    assert different == []


def test_resume_refuses_other_options_and_folders_that_are_no_runs(tmp_path):
    for arguments, message in (
        (("--resume", str(tmp_path)), "cannot be read"),
        (("--resume", str(tmp_path), "--train.epochs", "3"), "cannot be combined with --train.epochs"),
    ):
        done = subprocess.run(_command(*arguments), cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 2
        assert message in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
