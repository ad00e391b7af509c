"""Ends training between two steps on Ctrl-C or SIGTERM, so that its state is whole."""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

import keras

from mmkeras.core.errors import TrainingError
from mmkeras.training.signals import give_back, take_over

if TYPE_CHECKING:
    from mmkeras.training.cluster.agreement import Agreement

__all__ = ["Interrupted", "Interrupts"]


class Interrupted(TrainingError):
    """Training was asked to stop; its state was saved."""


class Interrupts(keras.callbacks.Callback):
    """Turns the first Ctrl-C or SIGTERM into an orderly stop after the current step; a second one ends at once.

    Use as a context manager around ``fit`` and as one of its callbacks, after the one that counts steps. Signals reach
    the main thread alone: a training in another thread does not take them over.

    Args:
        agreement: of several workers, which stop after the same step whoever of them was asked.
    """

    def __init__(self, agreement: Agreement | None = None) -> None:
        super().__init__()
        self.asked: str | None = None
        self._agreement = agreement
        self._stops = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        """Take over the signals."""
        self._previous = take_over(self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        give_back(self._previous)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Tell the other workers; not in the signal's handler, which may interrupt anything."""
        if self.asked is not None and self._agreement is not None:
            self._agreement.request()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Leave ``fit`` when asked to; after the last step of an epoch it is left with the epoch's validation."""
        self._stops = self.asked is not None if self._agreement is None else self._agreement.reached()
        if batch + 1 != (self.params or {}).get("steps"):
            self._leave()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Leave ``fit`` when asked to in the last step: an epoch without its validation would have no score."""
        self._leave()

    def _leave(self) -> None:
        if self._stops:
            raise Interrupted(self.asked or "a signal to another worker")
