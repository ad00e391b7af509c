from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from mmkeras.core.config import TrainConfig
from mmkeras.core.errors import TrainingError
from mmkeras.training.checkpoints import Checkpoints, Diverged
from mmkeras.training.optimizer import build_optimizer, inner_optimizer
from mmkeras.training.state import State

pytestmark = pytest.mark.tfio

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
Y = (X @ np.array([[1.0], [2.0], [3.0]], "float32")).astype("float32")


def _model(ema: float | None = None, rate: float = 0.05) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(build_optimizer(TrainConfig(learning_rate=rate, ema=ema), 100, []), "mse", jit_compile=False)
    return model


def _fit(model: keras.Model, checkpoints: Checkpoints, epochs: int = 3) -> None:
    model.fit(X, Y, batch_size=16, epochs=epochs, validation_data=(X, Y), callbacks=[checkpoints], verbose=0)


def test_the_best_model_is_kept_and_the_state_can_be_loaded(tmp_path):
    model = _model()
    checkpoints = Checkpoints(tmp_path, "val_loss", -1)
    _fit(model, checkpoints)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000012"]
    best = keras.models.load_model(tmp_path / "best.keras")
    assert best.evaluate(X, Y, verbose=0) == pytest.approx(min(log["val_loss"] for log in checkpoints.state.history))
    again = _model()
    state = Checkpoints.load(tmp_path, again)
    assert vars(state) == vars(checkpoints.state)
    assert int(again.optimizer.iterations) == 12
    for ours, theirs in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_with_an_average_the_best_model_has_the_average_and_training_its_own_weights(tmp_path, tmp_path_factory):
    averaged, plain = _model(ema=0.9), _model()
    checkpoints = Checkpoints(tmp_path, "val_loss", -1)
    _fit(averaged, checkpoints)
    _fit(plain, Checkpoints(tmp_path_factory.mktemp("plain"), "val_loss", -1))
    np.testing.assert_allclose(averaged.layers[0].kernel, plain.layers[0].kernel, rtol=1e-6)
    best = keras.models.load_model(tmp_path / "best.keras")
    assert not np.allclose(best.layers[0].kernel, averaged.layers[0].kernel)
    assert best.evaluate(X, Y, verbose=0) == pytest.approx(checkpoints.state.history[-1]["val_loss"], rel=1e-5)


def test_the_average_is_kept_without_a_validation_split(tmp_path):
    model, checkpoints = _model(ema=0.9), Checkpoints(tmp_path, "val_loss", -1)
    model.fit(X, Y, batch_size=16, epochs=1, callbacks=[checkpoints], verbose=0)
    best = keras.models.load_model(tmp_path / "best.keras")
    average = inner_optimizer(model)._model_variables_moving_average
    for kept, mean, own in zip(best.get_weights(), average, model.get_weights(), strict=True):
        np.testing.assert_allclose(kept, mean, rtol=1e-6)
        assert not np.allclose(kept, own)


def test_it_stops_when_nothing_gets_better(tmp_path):
    checkpoints = Checkpoints(tmp_path, "val_loss", -1, patience=2)
    model = _model(rate=0.0)
    _fit(model, checkpoints, epochs=10)
    assert checkpoints.stopped_early
    assert len(checkpoints.state.history) == 3


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    (tmp_path / "checkpoints" / ".step-00000099.tmp").mkdir(parents=True)
    assert vars(Checkpoints.load(tmp_path, _model())) == vars(State())


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    _fit(_model(), Checkpoints(tmp_path, "val_loss", -1), epochs=1)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    other.compile(build_optimizer(TrainConfig(), 10, []), "mse")
    with pytest.raises(TrainingError, match="step-00000004: cannot be resumed"):
        Checkpoints.load(tmp_path, other)


def _best_epoch(folder: Path, scores: list[tuple[float, float]]) -> int:
    """Return the best epoch of one that logs these metrics and losses; a metric of NaN does not exist."""
    model, checkpoints = _model(), Checkpoints(folder, "val_accuracy", 1)
    model.optimizer.build(model.trainable_variables)
    checkpoints.set_model(model)
    for epoch, (accuracy, loss) in enumerate(scores):
        known = {} if np.isnan(accuracy) else {"val_accuracy": accuracy}
        checkpoints.state.step += 1
        checkpoints.on_epoch_end(epoch, {**known, "val_loss": loss, "loss": 1.0})
    return checkpoints.state.best_epoch


NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(0.999, 0.02), (0.999, 0.01), (0.998, 0.001)], 2),  # the loss breaks ties
        ([(0.999, 0.02), (0.9991, 5.0)], 2),
        ([(NAN, NAN), (0.1, 5.0), (NAN, NAN)], 2),  # any number beats none
        ([(NAN, NAN), (NAN, 3.0), (NAN, 2.0), (NAN, NAN)], 3),  # without a metric the loss decides
        ([(NAN, 0.001), (0.1, 5.0), (NAN, 0.0001)], 2),  # a loss is no metric, whichever came first
        ([(0.1, NAN), (0.2, NAN)], 2),
    ],
)
def test_the_best_epoch_has_the_best_score(tmp_path: Path, scores: list[tuple[float, float]], best: int):
    assert _best_epoch(tmp_path, scores) == best
    assert Checkpoints.load(tmp_path, _model()).best_epoch == best


def test_the_state_is_readable_json(tmp_path):
    checkpoints = Checkpoints(tmp_path, "val_loss", -1)
    _fit(_model(), checkpoints, epochs=1)
    state = json.loads((tmp_path / "checkpoints" / "step-00000004" / "state.json").read_text())
    assert state["step"] == 4
    assert state["history"][0].keys() >= {"loss", "val_loss"}


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    model = _model()
    checkpoints = Checkpoints(tmp_path, "val_loss", -1)
    model.fit(X, Y * np.nan, batch_size=16, epochs=1, callbacks=[checkpoints], verbose=0)
    assert checkpoints.diverged
    assert not list(tmp_path.iterdir())


def test_the_state_is_saved_by_steps_and_by_minutes(tmp_path):
    saved: list[int] = []

    class Noted(Checkpoints):
        def save(self):
            saved.append(self.state.step)
            return super().save()

    _fit(_model(), Noted(tmp_path, "val_loss", -1, every_steps=3), epochs=1)
    assert saved == [3, 4]
    saved.clear()
    _fit(_model(), Noted(tmp_path, "val_loss", -1, every_minutes=0.0), epochs=1)
    assert saved == [1, 2, 3, 4]
    saved.clear()
    _fit(_model(), Noted(tmp_path, "val_loss", -1, every_minutes=60.0), epochs=1)
    assert saved == [4]


def test_the_metrics_of_a_broken_epoch_count_from_its_first_step(tmp_path):
    """The rest of an epoch, in a new process or in another call of fit, ends with the logs of the whole one."""

    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            raise InterruptedError

    def epoch(checkpoints: Checkpoints, model: keras.Model, first: int, *more: keras.callbacks.Callback) -> None:
        x, y, callbacks = X[16 * first :], Y[16 * first :], [checkpoints, *more]
        checkpoints.folder.mkdir(exist_ok=True)
        model.fit(x, y, batch_size=16, validation_data=(X, Y), shuffle=False, callbacks=callbacks, verbose=0)

    whole = Checkpoints(tmp_path / "whole", "val_loss", -1)
    epoch(whole, _model(), 0)
    for again in (False, True):
        folder, model = tmp_path / f"broken-{again}", _model()
        checkpoints = Checkpoints(folder, "val_loss", -1, every_steps=1)
        for step in (0, 1):
            with pytest.raises(InterruptedError):
                epoch(checkpoints, model, step, Break())
            if again:
                model = _model()
                state = Checkpoints.load(folder, model)
                assert state.metrics is not None
                checkpoints = Checkpoints(folder, "val_loss", -1, every_steps=1, state=state)
        epoch(checkpoints, model, 2)
        assert vars(checkpoints.state) == vars(whole.state)
    strange = Checkpoints(tmp_path / "other", "val_loss", -1, state=State(metrics=[[1.0, 2.0]]))
    with pytest.raises(TrainingError, match="sums of other metrics"):
        epoch(strange, _model(), 0)


def test_a_worker_that_does_not_write_keeps_the_same_account(tmp_path):
    silent = Checkpoints(tmp_path, "val_loss", -1, every_steps=1, writes=False)
    _fit(_model(), silent, epochs=2)
    assert not list(tmp_path.iterdir())
    written = Checkpoints(tmp_path, "val_loss", -1)
    _fit(_model(), written, epochs=2)
    assert vars(silent.state) == vars(written.state)


def test_a_checkpoint_is_never_gone_while_it_is_written_again(tmp_path):
    model, checkpoints = _model(), Checkpoints(tmp_path, "val_loss", -1, every_steps=4)
    _fit(model, checkpoints, epochs=1)
    folder = tmp_path / "checkpoints" / "step-00000004"
    written = (folder / "state.weights.h5").stat()
    checkpoints.state.waited = 7
    assert checkpoints.save() == folder
    assert (folder / "state.weights.h5").stat() == written
    assert Checkpoints.load(tmp_path, _model()).waited == 7


def test_weights_that_are_not_finite_are_never_saved_within_an_epoch(tmp_path):
    model, checkpoints = _model(), Checkpoints(tmp_path, "val_loss", -1)
    _fit(model, checkpoints, epochs=1)
    model.layers[0].kernel.assign(np.full((3, 1), np.nan))
    checkpoints.state.step += 1
    with pytest.raises(Diverged) as caught:
        checkpoints.save()
    assert caught.value.step == 5
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000004"]


def test_random_numbers_go_on_where_they_were(tmp_path):
    def model() -> keras.Model:
        keras.utils.set_random_seed(0)
        made = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
        made.compile(build_optimizer(TrainConfig(), 100, []), "mse", jit_compile=False)
        return made

    def seeds(made: keras.Model) -> list[int]:
        return keras.ops.convert_to_numpy(made.layers[0].seed_generator.state).tolist()

    trained, again = model(), model()
    _fit(trained, Checkpoints(tmp_path, "val_loss", -1), epochs=1)
    assert seeds(again) != seeds(trained)
    Checkpoints.load(tmp_path, again)
    assert seeds(again) == seeds(trained)


def test_an_epoch_is_not_saved_between_its_last_step_and_its_validation(tmp_path):
    histories: list[tuple[int, int]] = []

    class Noted(Checkpoints):
        def save(self):
            histories.append((self.state.step, len(self.state.history)))
            return super().save()

    _fit(_model(), Noted(tmp_path, "val_loss", -1, every_steps=2), epochs=1)
    assert histories == [(2, 0), (4, 1)]
