"""TensorBoard's chart of a worker that is not the chief: its share of time spent waiting for input."""

from __future__ import annotations

import time
from pathlib import Path

import keras
import tensorflow as tf

from mmkeras.training.input_clock import InputClock

__all__ = ["InputWait"]


class InputWait(keras.callbacks.Callback):
    """Writes ``speed/input_wait_share`` of one worker into the chief's chart; the chief alone writes everything else.

    Args:
        folder: of this worker's events.
        clock: the clock of its training dataset.
        first_step: first step of a resumed run.
        every: steps between two records.
    """

    def __init__(self, folder: Path, clock: InputClock, *, first_step: int = 0, every: int = 20) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(folder))
        self._clock = clock
        self._step = first_step
        self._every = every

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start an interval, so that validation does not count."""
        self._restart()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Record the share of the last steps."""
        self._step += 1
        if self._step - self._interval_step >= self._every:
            self._record()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the remaining steps."""
        if self._step > self._interval_step:
            self._record()
        self._writer.flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Flush the writer."""
        self._writer.flush()

    def _record(self) -> None:
        share = self._clock.read() / max(time.monotonic() - self._interval_began, 1e-9)
        with self._writer.as_default():
            tf.summary.scalar("speed/input_wait_share", max(0.0, min(1.0, share)), step=self._step)
        self._restart()

    def _restart(self) -> None:
        self._clock.read()
        self._interval_step = self._step
        self._interval_began = time.monotonic()
