"""Ends training between two steps on Ctrl-C or SIGTERM, so that its state is whole."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import keras

from mmkeras.errors import TrainingError

__all__ = ["Interrupted", "Interrupts"]


class Interrupted(TrainingError):
    """Training was asked to stop; its state was saved."""


class Interrupts(keras.callbacks.Callback):
    """Turns the first Ctrl-C or SIGTERM into an orderly stop after the current step; a second one ends at once.

    Use as a context manager around ``fit`` and as one of its callbacks, after the one that counts steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: str | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        """Take over the signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Leave ``fit`` when asked to."""
        if self.asked is not None:
            raise Interrupted(self.asked)
