from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmkeras.core.config import TrainConfig
from mmkeras.training.checkpoints import Checkpoints
from mmkeras.training.host_score import HostScore
from mmkeras.training.optimizer import build_optimizer
from tests.tasks.helpers import batch, call, head_model, task

SPEC = task("detection")[0]
INPUTS, TARGETS = batch("detection")
WEIGHTS = np.array([1.0, 2.0, 0.5, 1.0], "float32")
DATA = tf.data.Dataset.from_tensor_slices((INPUTS, TARGETS, WEIGHTS))


def _score(outputs: dict[str, np.ndarray]) -> dict[str, float]:
    return SPEC.score(TARGETS["heatmap"], outputs, WEIGHTS)


@dataclass
class _Fit:
    """Three epochs with a moving average, and what each of them knew."""

    model: keras.Model
    folder: Path
    checkpoints: Checkpoints
    logs: list[dict[str, Any]] = field(default_factory=list)
    averaged: list[dict[str, np.ndarray]] = field(default_factory=list)
    own: list[dict[str, np.ndarray]] = field(default_factory=list)


class _Witness(keras.callbacks.Callback):
    """Asks the model as the callbacks behind `HostScore` find it."""

    def __init__(self, outputs: list[dict[str, np.ndarray]], logs: list[dict[str, Any]]) -> None:
        super().__init__()
        self._outputs, self._logs = outputs, logs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._outputs.append(call(self.model, INPUTS))
        self._logs.append(dict(logs or {}))


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> _Fit:
    keras.utils.set_random_seed(0)
    model, folder = head_model("detection"), tmp_path_factory.mktemp("run")
    model.compile(build_optimizer(TrainConfig(learning_rate=0.02, ema=0.8), 30), loss=model.loss, jit_compile=False)
    result = _Fit(model, folder, Checkpoints(folder, "val_mAP", 1))
    validation = DATA.batch(3)
    callbacks = [
        HostScore(validation, SPEC),
        _Witness(result.averaged, result.logs),
        result.checkpoints,
        _Witness(result.own, []),
    ]
    training = DATA.batch(2).repeat()
    model.fit(
        training,
        steps_per_epoch=8,
        epochs=3,
        validation_data=validation,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    return result


def test_the_logs_of_every_epoch_hold_the_score_of_the_whole_split(fit: _Fit):
    assert len(fit.logs) == 3
    for logs, outputs in zip(fit.logs, fit.averaged, strict=True):
        score = _score(outputs)
        known = {f"val_{name}": value for name, value in score.items() if np.isfinite(value)}
        assert {name: logs[name] for name in known} == pytest.approx(known, rel=1e-4)
        assert all(type(logs[name]) is float for name in known)
        # What is not known is not logged: TensorBoard and checkpoints compare numbers.
        assert not {f"val_{name}" for name, value in score.items() if np.isnan(value)} & logs.keys()
        assert {"loss", "val_loss"} <= logs.keys()


def test_the_averaged_weights_are_scored_as_validation_sees_them(fit: _Fit):
    for averaged, own in zip(fit.averaged, fit.own, strict=True):
        assert np.abs(averaged["heatmap"] - own["heatmap"]).max() > 1e-4


def test_the_best_model_is_chosen_by_it(fit: _Fit):
    state = fit.checkpoints.state
    assert state.best == pytest.approx(max(logs["val_mAP"] for logs in fit.logs), abs=1e-3)
    assert [each["val_mAP"] for each in state.history] == [logs["val_mAP"] for logs in fit.logs]
    best = keras.models.load_model(fit.folder / "best.keras")
    for name, value in call(best, INPUTS).items():
        np.testing.assert_allclose(value, fit.averaged[state.best_epoch - 1][name], rtol=1e-4, atol=1e-6)


def test_without_logs_nothing_is_scored():
    HostScore(DATA.batch(3), SPEC).on_epoch_end(0, None)


class _Worker:
    """One of two workers with one device each; the test runs one after the other."""

    members, workers, replicas_here = ("one", "two"), 2, 1

    def __init__(self, rank: int) -> None:
        self.rank, self.chief = rank, rank == 0

    def barrier(self, name: str) -> None:
        pass

    def from_chief(self, name: str, value: str) -> str:
        return value


def test_workers_score_the_rows_of_all_of_them_in_the_order_of_the_split(tmp_path: Path):
    """Batches of one sample go to the workers in turn."""
    model = head_model("detection")
    found: dict[str, float] = {}
    for rank in (1, 0):
        callback = HostScore(DATA.batch(1).shard(2, rank), SPEC, cluster=cast(Any, _Worker(rank)), folder=tmp_path)
        callback.set_model(model)
        found = {}
        callback.on_epoch_end(0, found)
    known = {f"val_{name}": value for name, value in _score(call(model, INPUTS)).items() if np.isfinite(value)}
    assert found == pytest.approx(known, rel=1e-5)
    assert not list(tmp_path.rglob("evidence.npz"))
