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
from tests.pipelines.conftest import Place


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.vqa", "--skip_export", *arguments]


def _weights(run: Path) -> dict[str, np.ndarray]:
    (checkpoint,) = (run / "checkpoints").glob("step-*")
    assert checkpoint.name == "step-00000048"
    found: dict[str, np.ndarray] = {}
    with h5py.File(checkpoint / "state.weights.h5") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_stopped_run_goes_on_to_the_same_weights(place: Place, number: signal.Signals):
    with subprocess.Popen(
        [sys.executable, "-m", *place.arguments(number.name)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        deadline = time.monotonic() + 240
        while not list(place.folder.glob(f"runs/{number.name}/*/checkpoints/step-*")):
            assert process.poll() is None, process.communicate()[0].decode()
            assert time.monotonic() < deadline, "no checkpoint in four minutes"
            time.sleep(0.02)
        process.send_signal(number)
        output, _ = process.communicate(timeout=240)
    text = " ".join(output.decode().split())
    run = place.run(number.name)
    if number == signal.SIGINT:
        assert process.returncode == 130, text
        assert "Training stopped by SIGINT after step" in text
        assert "Go on with: python -m pipelines.vqa --resume" in text
    else:
        assert process.returncode == -signal.SIGKILL
    done = subprocess.run(_command("--resume", str(run)), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    weights, undisturbed = _weights(run), _weights(place.run("undisturbed"))
    assert weights.keys() == undisturbed.keys()
    # The gradient norm is only shown: a busy machine may add up its squares in another order.
    shown = "optimizer/vars/1"
    np.testing.assert_allclose(weights.pop(shown), undisturbed.pop(shown), rtol=1e-6)
    assert [name for name, value in undisturbed.items() if not np.array_equal(value, weights[name])] == []


def test_resume_refuses_other_options_and_folders_that_are_no_runs(tmp_path):
    for arguments, message in (
        (("--resume", str(tmp_path)), "cannot be read"),
        (("--resume", str(tmp_path), "--train.epochs", "3"), "cannot be combined with --train.epochs"),
    ):
        done = subprocess.run(_command(*arguments), cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 2
        assert message in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
