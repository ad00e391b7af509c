"""Writes scalars, HParams, pictures and an optional profiler trace of a run for TensorBoard."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmkeras.core.config import RunConfig
from mmkeras.training.input_clock import InputClock
from mmkeras.training.optimizer import inner_optimizer

__all__ = ["InputWait", "Monitor", "hyper_parameters"]

_PROFILED_STEPS = (10, 20)


class InputWait(keras.callbacks.Callback):
    """Writes the share of the time that a worker waits for input; the chief writes all else with `Monitor`.

    Args:
        folder: folder of this worker's events.
        clock: clock of the training dataset; None leaves the share out.
        first_step: first step of a resumed run.
        every: steps between two records.
    """

    def __init__(self, folder: Path, clock: InputClock | None, *, first_step: int = 0, every: int = 20) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))
        self._clock = clock
        self._step = first_step
        self._every = every

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start an interval, so that validation and pictures do not count as training time."""
        if self._clock is not None:
            self._clock.read()
        self._restart()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Count the step, and record an interval if one is complete."""
        self._step += 1
        self._stepped = time.monotonic()
        if self._step - self._interval_step >= self._every:
            self._record(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the remaining steps."""
        if self._step > self._interval_step:
            self._record(logs)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Flush the writer."""
        self._writer.flush()

    def _record(self, logs: dict[str, float] | None) -> None:
        seconds = max(self._stepped - self._interval_began, 1e-9)
        scalars = self._scalars(logs, seconds)
        if self._clock is not None:
            scalars["speed/input_wait_share"] = max(0.0, min(1.0, self._clock.read() / seconds))
        self._write(self._writer, scalars)
        self._restart()

    def _scalars(self, logs: dict[str, float] | None, seconds: float) -> dict[str, float]:
        """Return further scalars of the steps since the last record, which took ``seconds``."""
        return {}

    def _restart(self) -> None:
        self._interval_step = self._step
        self._interval_began = time.monotonic()

    def _write(self, writer: Any, scalars: dict[str, float]) -> None:
        with writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(name, value, step=self._step)


class Monitor(InputWait):
    """Writes TensorBoard events under the run's folder.

    Scalars every few steps: loss, learning rate, gradient norm, samples/s, share of the time spent waiting for
    input. Each epoch: the metrics of training and validation, and pictures.

    ``draw`` returns pictures uint8 (H, W, 3) by name for the model after an epoch. For the other arguments, see
    `InputWait`.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        clock: InputClock | None,
        *,
        first_step: int = 0,
        draw: Callable[[keras.Model], dict[str, np.ndarray]] | None = None,
        every: int = 20,
    ) -> None:
        super().__init__(folder / "train", clock, first_step=first_step, every=every)
        self._validation = tf.summary.create_file_writer(str(folder / "validation"))
        self._folder = folder
        self._config = config
        self._first_step = first_step
        self._draw = draw
        self._profiling = False

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Record the hyper-parameters."""
        from tensorboard.plugins.hparams import api as hparams

        with self._writer.as_default():
            hparams.hparams(hyper_parameters(self._config), trial_id=self._folder.name)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Start or stop the profiler, and record an interval if one is complete."""
        if self._config.train.profile:
            self._profile(self._step + 1 - self._first_step)
        super().on_train_batch_end(batch, logs)

    def _scalars(self, logs: dict[str, float] | None, seconds: float) -> dict[str, float]:
        optimizer = inner_optimizer(self.model)
        steps = self._step - self._interval_step
        return {
            **({"step/loss": float(logs["loss"])} if logs else {}),
            "step/learning_rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
            "step/gradient_norm": float(keras.ops.convert_to_numpy(optimizer.gradient_norm)),
            "speed/samples_per_second": steps * self._config.train.batch_size / seconds,
        }

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch's metrics and pictures."""
        super().on_epoch_end(epoch, logs)
        logs = {k: float(v) for k, v in (logs or {}).items()}
        self._write(self._writer, {f"epoch/{k}": v for k, v in logs.items() if not k.startswith("val_")})
        self._write(self._validation, {f"epoch/{k[4:]}": v for k, v in logs.items() if k.startswith("val_")})
        if self._draw is not None:
            with self._validation.as_default():
                for name, picture in self._draw(self.model).items():
                    tf.summary.image(name, picture[None], step=self._step)
        self._writer.flush()
        self._validation.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Stop the profiler and flush the writers."""
        self._stop_profile()
        super().on_train_end(logs)
        self._validation.flush()

    def note_damaged(self, records: int) -> None:
        """Record the number of damaged records that are left out from this step on."""
        self._write(self._writer, {"data/damaged_records": records})

    def _profile(self, step: int) -> None:
        if step == _PROFILED_STEPS[0]:
            tf.profiler.experimental.start(str(self._folder / "train"))
            self._profiling = True
        elif step == _PROFILED_STEPS[1]:
            self._stop_profile()

    def _stop_profile(self) -> None:
        if self._profiling:
            self._profiling = False
            tf.profiler.experimental.stop()


def hyper_parameters(config: RunConfig) -> dict[str, bool | float | str]:
    """Return the settings of model and training as flat HParams, without those that are None."""
    flat: dict[str, bool | float | str] = {}

    def walk(prefix: str, value: Any) -> None:
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                walk(f"{prefix}.{field.name}", getattr(value, field.name))
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(f"{prefix}.{key}", item)
        elif isinstance(value, bool | int | float | str):
            flat[prefix] = value
        elif value is not None:
            flat[prefix] = str(value)

    walk("model", config.model)
    walk("train", config.train)
    return flat
