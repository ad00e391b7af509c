"""Ends a training after the last epoch that fits into a time."""

from __future__ import annotations

import time
from typing import Any

import keras

from mmkeras.core.console import Console

__all__ = ["TimeLimit"]


class TimeLimit(keras.callbacks.Callback):
    """Ends the training after an epoch when another of the same length would pass the limit.

    The time counts from the creation of the callback, so that a resumed training has the whole limit again.
    """

    def __init__(self, minutes: float, console: Console) -> None:
        super().__init__()
        self._began = self._epoch_began = time.monotonic()
        self._minutes, self._console = minutes, console

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the time."""
        self._epoch_began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """End the training if the next epoch would end too late."""
        now = time.monotonic()
        if now - self._began + (now - self._epoch_began) > 60 * self._minutes and epoch + 1 < self.params["epochs"]:
            self._console.print(
                f"train.max_minutes: no further epoch ends within {self._minutes:g} min; the training ends after "
                f"epoch {epoch + 1}",
                style="yellow",
                highlight=False,
            )
            self.model.stop_training = True
