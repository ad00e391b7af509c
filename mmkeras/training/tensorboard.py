"""What TensorBoard shows of a run: scalars, HParams, pictures and an optional profiler trace."""

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

__all__ = ["Monitor", "hyper_parameters"]

_PROFILED_STEPS = (10, 20)


class Monitor(keras.callbacks.Callback):
    """Writes TensorBoard events under the run's folder.

    Scalars every few steps: loss, learning rate, gradient norm, samples/s, share of the time spent waiting for
    input. Each epoch: the metrics of training and validation, and pictures.

    Args:
        folder: the run's folder.
        config: the run's configuration, for HParams and the batch size.
        clock: the clock that watches the training dataset; None leaves the input wait out.
        first_step: where a resumed run goes on.
        draw: called after every epoch with the model; returns pictures uint8 (H, W, 3) by name.
        every: steps between two scalar records.
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
        super().__init__()
        self._train = tf.summary.create_file_writer(str(folder / "train"))
        self._validation = tf.summary.create_file_writer(str(folder / "validation"))
        self._folder = folder
        self._config = config
        self._clock = clock
        self._step = first_step
        self._first_step = first_step
        self._draw = draw
        self._every = every
        self._profiling = False

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Record the hyper-parameters."""
        from tensorboard.plugins.hparams import api as hparams

        with self._train.as_default():
            hparams.hparams(hyper_parameters(self._config), trial_id=self._folder.name)
        self._restart_interval()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Validation and pictures do not count as training time."""
        self._restart_interval()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Record the scalars of the last steps."""
        self._step += 1
        self._stepped = time.monotonic()
        if self._config.train.profile:
            self._profile()
        if self._step - self._interval_step >= self._every:
            self._record(logs)

    def _record(self, logs: dict[str, float] | None) -> None:
        """Record the steps since the last record."""
        optimizer = inner_optimizer(self.model)
        scalars = {
            "step/loss": float(logs["loss"]) if logs else None,
            "step/learning_rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
            "step/gradient_norm": float(keras.ops.convert_to_numpy(optimizer.gradient_norm)),
        }
        seconds = max(self._stepped - self._interval_began, 1e-9)
        steps = self._step - self._interval_step
        scalars["speed/samples_per_second"] = steps * self._config.train.batch_size / seconds
        if self._clock is not None:
            scalars["speed/input_wait_share"] = max(0.0, min(1.0, self._clock.read() / seconds))
        self._write(self._train, {k: v for k, v in scalars.items() if v is not None}, self._step)
        self._restart_interval(read=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch's metrics and pictures."""
        if self._step > self._interval_step:
            self._record(logs)
        logs = {k: float(v) for k, v in (logs or {}).items()}
        self._write(self._train, {f"epoch/{k}": v for k, v in logs.items() if not k.startswith("val_")}, self._step)
        validation = {f"epoch/{k[4:]}": v for k, v in logs.items() if k.startswith("val_")}
        self._write(self._validation, validation, self._step)
        if self._draw is not None:
            with self._validation.as_default():
                for name, picture in self._draw(self.model).items():
                    tf.summary.image(name, picture[None], step=self._step)
        self._train.flush()
        self._validation.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Write what is left."""
        self._stop_profile()
        self._train.flush()
        self._validation.flush()

    def note_damaged(self, records: int) -> None:
        """Record how many damaged records are left out from this step on."""
        self._write(self._train, {"data/damaged_records": records}, self._step)

    def _restart_interval(self, *, read: bool = True) -> None:
        if read and self._clock is not None:
            self._clock.read()
        self._interval_step = self._step
        self._interval_began = time.monotonic()

    def _write(self, writer: Any, scalars: dict[str, float], step: int) -> None:
        with writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(name, value, step=step)

    def _profile(self) -> None:
        done = self._step - self._first_step
        if done == _PROFILED_STEPS[0]:
            tf.profiler.experimental.start(str(self._folder / "train"))
            self._profiling = True
        elif done == _PROFILED_STEPS[1]:
            self._stop_profile()

    def _stop_profile(self) -> None:
        if self._profiling:
            self._profiling = False
            tf.profiler.experimental.stop()


def hyper_parameters(config: RunConfig) -> dict[str, bool | float | str]:
    """Return the settings of model and training as flat HParams; what is None is left out."""
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
