"""Shows training in the terminal: a bar within an epoch, a line after it."""

from __future__ import annotations

import time

import keras
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmkeras.core.console import Console

__all__ = ["TerminalProgress"]


class TerminalProgress(keras.callbacks.Callback):
    """Shows steps, loss and remaining time; prints one line per epoch, also to a log file.

    Every line starts with ``label``, such as ``stage pretrain: ``.
    """

    def __init__(self, console: Console, epochs: int, steps: int, label: str = "") -> None:
        super().__init__()
        self.console = console
        self.epochs = epochs
        self.steps = steps
        self.label = label
        self._progress: Progress | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Open the bar."""
        self._began = time.monotonic()
        self._progress = Progress(
            TextColumn(f"{self.label}epoch {epoch + 1}/{self.epochs}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}", markup=False),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task("steps", total=self.params.get("steps") or self.steps, loss=float("nan"))
        self._progress.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move the bar; show the loss every 10 steps, because reading it waits for the device."""
        if self._progress is None or self._progress.disable:
            return
        loss = {"loss": float(logs["loss"])} if logs and batch % 10 == 0 else {}
        self._progress.update(self._task, completed=batch + 1, **loss)  # type: ignore[arg-type]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Print the epoch's line."""
        self._close()
        seconds = time.monotonic() - self._began
        shown = "  ".join(f"{name} {float(value):.4f}" for name, value in (logs or {}).items())
        self.console.print(
            f"{self.label}epoch {epoch + 1}/{self.epochs}  {seconds:.0f} s  {shown}", highlight=False, soft_wrap=True
        )

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the bar, also after an interruption."""
        self._close()

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
