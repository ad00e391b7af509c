"""Weights on a disk that cannot take them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from mmkeras.core.errors import DataError
from mmkeras.layers.keras_files import load_weights
from mmkeras.training.state import save_weights


def _model() -> keras.Model:
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(256)])
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_weights_and_optimizer_are_those_of_keras(tmp_path):
    model, again, theirs = _model(), _model(), _model()
    model.optimizer.variables[2].assign(np.full((64, 256), 3.0))
    save_weights(model, tmp_path / "a.weights.h5")
    model.save_weights(tmp_path / "b.weights.h5")
    load_weights(again, tmp_path / "a.weights.h5")
    load_weights(theirs, tmp_path / "b.weights.h5")
    for ours, other, first in zip(again.variables, theirs.variables, model.variables, strict=True):
        np.testing.assert_array_equal(ours, other)
        np.testing.assert_array_equal(ours, first)
    np.testing.assert_array_equal(again.optimizer.variables[2], model.optimizer.variables[2])
    with pytest.raises(DataError):
        load_weights(_model(), tmp_path / "c.weights.h5")


def test_a_full_disk_ends_in_an_error_and_not_in_a_crash(tmp_path):
    """A limit of a file's size is met as a full disk is; HDF5 itself would die of it when the process ends."""
    code = (
        "import resource, sys; from pathlib import Path; import tests.training.test_state as t\n"
        "model = t._model()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: t.save_weights(model, Path(sys.argv[1]))\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    place = tmp_path / "a.weights.h5"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(place)], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["27", str(place)]
    assert "Exception ignored" not in done.stderr
    assert not list(tmp_path.iterdir())
