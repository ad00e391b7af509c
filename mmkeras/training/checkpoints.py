"""Keeps the best model and a state to go on from, exactly, at any step."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mmkeras.errors import TrainingError
from mmkeras.training.optimizer import inner_optimizer

__all__ = ["Checkpoints", "State"]


class State:
    """What a resumed run needs besides weights and optimizer: position, history and the best score.

    Args:
        step: steps done since the start of the run.
        best: best validation score so far, higher is better.
        best_epoch: the epoch, from 1, that it is from.
        waited: epochs since then.
        history: logs of every finished epoch.
    """

    def __init__(
        self,
        step: int = 0,
        best: float | None = None,
        best_epoch: int = 0,
        waited: int = 0,
        history: list[dict[str, float]] | None = None,
    ) -> None:
        self.step = step
        self.best = best
        self.best_epoch = best_epoch
        self.waited = waited
        self.history = history or []


class Checkpoints(keras.callbacks.Callback):
    """Saves ``best.keras`` on a better validation score and the run's state after every epoch.

    With an exponential moving average, validation and ``best.keras`` use the averaged weights.
    Checkpoints are folders that appear whole or not at all.

    Args:
        folder: the run's folder.
        monitor: validation log to compare, for example ``val_accuracy``; ties go to the lower ``val_loss``.
        sign: 1 where higher is better, -1 where lower is.
        patience: stop after so many epochs without a better score; None never does.
        every_steps: save the state within epochs too.
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
        state: State | None = None,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.monitor = monitor
        self.sign = sign
        self.patience = patience
        self.every_steps = every_steps
        self.state = state or State()
        self.stopped_early = False
        self.diverged = False
        self._own_weights: list[Any] | None = None

    # === Exponential moving average ===

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Put the averaged weights in for validation."""
        optimizer = inner_optimizer(self.model)
        if optimizer is not None and optimizer.use_ema and self._own_weights is None:
            trained = self.model.trainable_variables
            self._own_weights = [keras.ops.convert_to_numpy(v) for v in trained]
            optimizer.put_average(trained)

    def _restore_own_weights(self) -> None:
        if self._own_weights is not None:
            for variable, value in zip(self.model.trainable_variables, self._own_weights, strict=True):
                variable.assign(value)
            self._own_weights = None

    # === Saving ===

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Count the step; save the state where asked."""
        self.state.step += 1
        if self.every_steps and self.state.step % self.every_steps == 0:
            self.save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save the best model and the state; stop when nothing got better for long enough."""
        logs = {k: float(v) for k, v in (logs or {}).items()}
        if not np.isfinite(logs["loss"]):
            # The last good state stays: nothing can be resumed from NaN.
            self._restore_own_weights()
            self.diverged = True
            return
        score = self._score(logs)
        if self.state.best is None or score > self.state.best:
            self.state.best, self.state.best_epoch, self.state.waited = score, epoch + 1, 0
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

    def _score(self, logs: dict[str, float]) -> float:
        if self.monitor not in logs:
            return -logs.get("val_loss", logs["loss"])
        # The loss breaks ties: many epochs may share the last per mille of accuracy.
        return self.sign * logs[self.monitor] - 1e-6 * min(logs.get("val_loss", 0.0), 1e3)

    def save(self) -> Path:
        """Write weights, optimizer and state; return the checkpoint's folder."""
        root = self.folder / "checkpoints"
        done = root / f"step-{self.state.step:08d}"
        aside = root / f".step-{self.state.step:08d}.tmp"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        self.model.save_weights(aside / "state.weights.h5")
        (aside / "state.json").write_text(json.dumps(vars(self.state)), encoding="utf-8")
        shutil.rmtree(done, ignore_errors=True)
        os.replace(aside, done)
        for other in root.iterdir():
            if other != done:
                shutil.rmtree(other, ignore_errors=True)
        return done

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
            model.load_weights(found[-1] / "state.weights.h5")
            return State(**json.loads((found[-1] / "state.json").read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"{os.path.relpath(found[-1])}: cannot be resumed ({error}). The model code may have changed since; "
                "start a new run, or check out the revision named in run.json."
            ) from error
