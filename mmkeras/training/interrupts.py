"""Stops training between two steps on Ctrl-C or SIGTERM, so that its state can be saved."""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING

import keras

from mmkeras.core.errors import TrainingError
from mmkeras.training.signals import handled

if TYPE_CHECKING:
    from mmkeras.training.cluster.spread import Agreement

__all__ = ["Interrupted", "Interrupts"]


class Interrupted(TrainingError):
    """A signal stopped the training; its state was saved."""


class Interrupts(keras.callbacks.Callback):
    """Stops training after the current step on the first Ctrl-C or SIGTERM; a second one raises KeyboardInterrupt.

    Use it as a context manager around ``fit`` and as one of its callbacks, after the one that counts steps. Outside
    the main thread it does not handle signals. With an ``agreement``, all workers stop after the same step.
    """

    def __init__(self, agreement: Agreement | None = None) -> None:
        super().__init__()
        self.received: str | None = None
        """Name of the received signal."""
        self._agreement = agreement
        self._stops = False
        self._handled = handled(self._receive)

    def __enter__(self) -> Interrupts:
        """Start to handle the signals."""
        self._handled.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous handlers."""
        self._handled.__exit__(None, None, None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Send the stop request to the other workers; the signal's handler may interrupt any code and cannot do it."""
        if self.received is not None and self._agreement is not None:
            self._agreement.request()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stop after a step, except the last step of an epoch: the validation comes first."""
        self._stops = self.received is not None if self._agreement is None else self._agreement.reached()
        if batch + 1 != (self.params or {}).get("steps"):
            self._stop()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop after the validation; without it, the epoch would have no score."""
        self._stop()

    def _stop(self) -> None:
        if self._stops:
            raise Interrupted(self.received or "a signal to another worker")
