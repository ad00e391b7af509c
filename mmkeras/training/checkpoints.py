"""Keeps the best model and a state to go on from, exactly, at any step."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mmkeras.core.errors import DataError, TrainingError
from mmkeras.layers.keras_files import load_weights
from mmkeras.storage.files import write_text
from mmkeras.training.epoch_metrics import add_sums, sums
from mmkeras.training.optimizer import inner_optimizer
from mmkeras.training.state import State, state_from_json
from mmkeras.training.weights_file import save_weights

__all__ = ["Checkpoints", "Diverged"]


class Diverged(TrainingError):
    """Loss or weights stopped being finite numbers in a step.

    Args:
        step: number of the step, from 1.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"The loss stopped being a finite number in step {step}.")
        self.step = step


class Checkpoints(keras.callbacks.Callback):
    """Saves ``best.keras`` on a better validation score and the run's state after every epoch.

    With an exponential moving average, validation and ``best.keras`` use the averaged weights, also where there is no
    validation.
    Checkpoints are folders that appear whole or not at all. Of several workers each keeps the same account of the run,
    but only the chief writes.

    Args:
        folder: the run's folder.
        monitor: validation log to compare, for example ``val_accuracy``; ties go to the lower ``val_loss``.
        sign: 1 where higher is better, -1 where lower is.
        patience: stop after so many epochs without a better score; None never does.
        every_steps: save the state within epochs too.
        every_minutes: save it after so much time too.
        writes: whether this process writes.
        keeps_metrics: whether the metrics of a broken epoch are kept; those of several devices cannot be.
        state: where the run goes on from.
    """

    def __init__(
        self,
        folder: Path,
        monitor: str,
        sign: int,
        *,
        patience: int | None = None,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        writes: bool = True,
        keeps_metrics: bool = True,
        state: State | None = None,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.monitor = monitor
        self.sign = sign
        self.patience = patience
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.writes = writes
        self.keeps_metrics = keeps_metrics
        self.state = state or State()
        self.stopped_early = False
        self.diverged = False
        self._own_weights: list[Any] | None = None
        self._within_epoch = False
        self._before: list[list[float]] | None = None
        self._saved = time.monotonic()

    # === Metrics of an epoch that goes on ===

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take up the metrics of a broken epoch before Keras begins them anew."""
        if self.keeps_metrics:
            self._before = sums(self.model) if self._within_epoch else self.state.metrics

    # === Exponential moving average ===

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Put the averaged weights in for validation, which begins the metrics anew."""
        self._within_epoch = False
        self._put_average()

    def _put_average(self) -> None:
        optimizer = inner_optimizer(self.model)
        if optimizer is not None and optimizer.use_ema and self._own_weights is None:
            trained = self.model.trainable_variables
            self._own_weights = [keras.ops.convert_to_numpy(v) for v in trained]
            optimizer.put_average(trained)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Put the model's own weights back where validation was broken off."""
        self._restore_own_weights()

    def _restore_own_weights(self) -> None:
        if self._own_weights is not None:
            for variable, value in zip(self.model.trainable_variables, self._own_weights, strict=True):
                variable.assign(value)
            self._own_weights = None

    # === Saving ===

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Count the step; save the state where asked."""
        self.state.step += 1
        self._within_epoch = True
        if self._before is not None:
            # Now they are there: Keras makes them with the first step.
            add_sums(self.model, self._before)
            self._before = None
        due = self.every_minutes is not None and time.monotonic() - self._saved >= 60 * self.every_minutes
        # After the last step of an epoch it is saved with the validation: an epoch without one would have no score.
        ends = batch + 1 == (self.params or {}).get("steps")
        if not ends and (due or (self.every_steps and self.state.step % self.every_steps == 0)):
            self.save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the best model and the state; stop when nothing got better for long enough."""
        self._within_epoch = False
        logs = {k: float(v) for k, v in (logs or {}).items()}
        if not np.isfinite(logs["loss"]):
            # The last good state stays: nothing can be resumed from NaN.
            self._restore_own_weights()
            self.diverged = True
            return
        self._put_average()
        score, by_loss = self._score(logs)
        if self.state.better(score, by_loss):
            self.state.best, self.state.by_loss, self.state.best_epoch, self.state.waited = score, by_loss, epoch + 1, 0
            if self.writes:
                aside = self.folder / ".best.tmp.keras"
                self.model.save(aside)
                os.replace(aside, self.folder / "best.keras")
        else:
            self.state.waited += 1
        self._restore_own_weights()
        self.state.history = [*self.state.history[:epoch], logs]
        self.save()
        if self.patience is not None and self.state.waited >= self.patience:
            self.stopped_early = True
            self.model.stop_training = True

    def _score(self, logs: dict[str, float]) -> tuple[float, bool]:
        """Return the epoch's score, higher is better, and whether it is a loss for want of the metric."""
        loss = logs.get("val_loss", logs["loss"])
        metric = logs.get(self.monitor, math.nan)
        if math.isnan(metric):
            return -loss, True
        # The loss breaks ties: many epochs may share the last per mille of accuracy.
        return self.sign * metric - (
            1e-6 * min(loss, 1e3) if "val_loss" in logs and not math.isnan(loss) else 0.0
        ), False

    def save(self) -> Path:
        """Write weights, optimizer and state; return the checkpoint's folder, which the chief writes.

        Raises:
            Diverged: weights are not finite; the last good state stays.
        """
        root = self.folder / "checkpoints"
        done = root / f"step-{self.state.step:08d}"
        self._saved = time.monotonic()
        self.state.seeds = [keras.ops.convert_to_numpy(each).tolist() for each in _seeds(self.model)]
        if not self.writes:
            return done
        if done.is_dir():
            # Saved at this very step: weights and optimizer are the same, and there is never a moment without them.
            self._write_state(done)
            return done
        if not all(np.isfinite(weight).all() for weight in self.model.get_weights()):
            raise Diverged(self.state.step)
        aside = root / f".step-{self.state.step:08d}.tmp"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_weights(self.model, aside / "state.weights.h5")
        self._write_state(aside)
        os.replace(aside, done)
        for other in root.iterdir():
            if other != done:
                shutil.rmtree(other, ignore_errors=True)
        return done

    def _write_state(self, folder: Path) -> None:
        self.state.metrics = self._before
        if self._within_epoch and self.keeps_metrics and self._before is None:
            self.state.metrics = sums(self.model)
        # A validation score may be NaN, which `write_json` refuses.
        write_text(folder / "state.json", json.dumps(vars(self.state)))

    @staticmethod
    def load(folder: Path, model: keras.Model) -> State:
        """Load the newest whole checkpoint of a run into a compiled model.

        Returns:
            The state to go on from; a fresh one where the run was ended before its first checkpoint.

        Raises:
            TrainingError: the checkpoint does not fit the model.
        """
        found = sorted((folder / "checkpoints").glob("step-*"))
        if not found:
            return State()
        model.optimizer.build(model.trainable_variables)
        try:
            load_weights(model, found[-1] / "state.weights.h5")
            state = state_from_json(json.loads((found[-1] / "state.json").read_text("utf-8")))
            if state.seeds is not None:  # checkpoints of earlier versions have none
                for variable, value in zip(_seeds(model), state.seeds, strict=True):
                    variable.assign(np.array(value, variable.dtype))
            return state
        except (OSError, ValueError, TypeError, RecursionError, DataError) as error:
            raise TrainingError(
                f"{os.path.relpath(found[-1])}: cannot be resumed ({error}). The model code may have changed since; "
                "start a new run, or check out the revision named in run.json."
            ) from error


def _seeds(model: keras.Model) -> list[Any]:
    return [each for each in model.non_trainable_variables if each.name == "seed_generator_state"]
