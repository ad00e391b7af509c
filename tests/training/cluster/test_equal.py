from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.parametrize("accumulate", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_two_replicas_take_the_steps_of_one(accumulate):
    """In float64 what is left is about 1e-14; anything that looks at half a batch would show."""
    command = [sys.executable, "-m", "tests.training.cluster.equal_worker", str(accumulate)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["loss"][1] != found["loss"][0]
    assert found["weights"] < 1e-12
    assert found["logs"] < 1e-12


def test_losses_of_the_whole_batch_are_those_of_one_device():
    """Negatives, places and numbers of the batch as a whole, weights of 0, accumulated gradients, validation."""
    command = [sys.executable, "-m", "tests.training.cluster.towers_worker"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *toys, matching = json.loads(done.stdout.splitlines()[-1])
    assert {"contrastive_loss", "discrepancy_loss", "pairs_loss"} <= set(matching["names"])
    for found in (*toys, matching):
        assert found is matching or {"image_loss", "val_uniformity_loss", "apart_loss"} <= set(found["names"])
        assert found["loss"][1] < found["loss"][0]
        assert found["weights"] < 1e-10
        assert found["logs"] < 1e-10
