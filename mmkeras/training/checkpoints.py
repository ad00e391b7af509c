"""Saves the best model, and checkpoints from which training resumes with the same result at any step."""

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
from mmkeras.training.optimizer import inner_optimizer
from mmkeras.training.state import State, add_sums, save_weights, state_from_json, sums

__all__ = ["Checkpoints", "Diverged"]


class Diverged(TrainingError):
    """Loss or weights are no longer finite after ``step``, counted from 1."""

    def __init__(self, step: int) -> None:
        super().__init__(f"The loss stopped being a finite number in step {step}.")
        self.step = step


class Checkpoints(keras.callbacks.Callback):
    """Saves ``best.keras`` on a better validation score, and a checkpoint after every epoch.

    With an exponential moving average, validation and ``best.keras`` use the averaged weights.
    A checkpoint is a folder that appears complete or not at all. All workers of a cluster have the same state; only the
    chief writes it.

    Args:
        folder: the run's folder.
        monitor: validation log to compare, for example ``val_accuracy``; the lower ``val_loss`` breaks ties.
        sign: 1 if higher is better, -1 if lower is better.
        patience: epochs without a better score after which training stops; None for no limit.
        every_steps: steps between further checkpoints within an epoch.
        every_minutes: minutes between further checkpoints within an epoch.
        writes: whether this process writes.
        keeps_metrics: whether to save the metrics of an interrupted epoch; this is not possible on several devices.
        state: the state from which training resumes.
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

    # === Metrics of an interrupted epoch ===

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take the metrics of an interrupted epoch before Keras resets them."""
        if self.keeps_metrics:
            self._before = sums(self.model) if self._within_epoch else self.state.metrics

    # === Exponential moving average ===

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Use the averaged weights for validation, which resets the metrics."""
        self._within_epoch = False
        self._put_average()

    def _put_average(self) -> None:
        optimizer = inner_optimizer(self.model)
        if optimizer is not None and optimizer.use_ema and self._own_weights is None:
            trained = self.model.trainable_variables
            self._own_weights = [keras.ops.convert_to_numpy(v) for v in trained]
            optimizer.put_average(trained)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Restore the model's own weights if validation was interrupted."""
        self._restore_own_weights()

    def _restore_own_weights(self) -> None:
        if self._own_weights is not None:
            for variable, value in zip(self.model.trainable_variables, self._own_weights, strict=True):
                variable.assign(value)
            self._own_weights = None

    # === Saving ===

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Count the step, and save a checkpoint if one is due."""
        self.state.step += 1
        self._within_epoch = True
        if self._before is not None:
            # Not earlier: Keras creates the metrics in the first step.
            add_sums(self.model, self._before)
            self._before = None
        due = self.every_minutes is not None and time.monotonic() - self._saved >= 60 * self.every_minutes
        # After the last step of an epoch, the checkpoint follows the validation, which gives the epoch its score.
        ends = batch + 1 == (self.params or {}).get("steps")
        if not ends and (due or (self.every_steps and self.state.step % self.every_steps == 0)):
            self.save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the best model and a checkpoint; stop when the patience is exhausted."""
        self._within_epoch = False
        logs = {k: float(v) for k, v in (logs or {}).items()}
        if not np.isfinite(logs["loss"]):
            # The last good checkpoint stays: training cannot resume from NaN.
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
        """Return the epoch's score, higher is better, and whether it is the negative loss: the metric is missing."""
        loss = logs.get("val_loss", logs["loss"])
        metric = logs.get(self.monitor, math.nan)
        if math.isnan(metric):
            return -loss, True
        # The loss breaks ties: many epochs may have the same accuracy.
        tie = 1e-6 * min(loss, 1e3) if "val_loss" in logs and not math.isnan(loss) else 0.0
        return self.sign * metric - tie, False

    def save(self) -> Path:
        """Write weights, optimizer and state, and return the checkpoint's folder, which the chief writes.

        Raises:
            Diverged: weights are not finite; the last good checkpoint stays.
        """
        root = self.folder / "checkpoints"
        done = root / f"step-{self.state.step:08d}"
        self._saved = time.monotonic()
        self.state.seeds = [keras.ops.convert_to_numpy(each).tolist() for each in _seeds(self.model)]
        if not self.writes:
            return done
        if done.is_dir():
            # Weights and optimizer of this step are already saved.
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
        # A validation score may be NaN, which `write_json` rejects.
        write_text(folder / "state.json", json.dumps(vars(self.state)))

    @staticmethod
    def load(folder: Path, model: keras.Model) -> State:
        """Load the newest checkpoint of a run into a compiled model.

        Returns:
            The state to resume from; a new state if the run has no checkpoint.

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
            if state.seeds is not None:  # None in checkpoints of earlier versions
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
