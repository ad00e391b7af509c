"""The files of a checkpoint: state.json, with the state of a stage, and its weights."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mmkeras.core.errors import TrainingError
from mmkeras.storage.files import write_bytes

__all__ = ["State", "add_sums", "save_weights", "state_from_json", "sums"]


@dataclass
class State:
    """Position, history and best score of a stage, from which it can be resumed."""

    step: int = 0
    """Steps since the start of the stage."""
    best: float | None = None
    """Best validation score so far, higher is better; NaN if no epoch had a score."""
    best_epoch: int = 0
    """Epoch of the best score, from 1."""
    waited: int = 0
    """Epochs since the best one."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Logs of every finished epoch."""
    batch_size: int | None = None
    """Samples of a step; ``step`` counts steps of this size."""
    metrics: list[list[float]] | None = None
    """Within an epoch, the sums of its metrics so far, from `sums`."""
    by_loss: bool = False
    """Whether ``best`` is a negative loss, because no epoch so far had the validation metric."""
    seeds: list[list[int]] | None = None
    """States of the random generators (dropout), which Keras does not save with the weights."""

    def better(self, score: float, by_loss: bool) -> bool:
        """Return whether an epoch is better than the best so far: any number beats NaN, any metric beats a loss."""
        if self.best is None or math.isnan(self.best):
            return self.best is None or not math.isnan(score)
        if by_loss != self.by_loss:
            return self.by_loss and not math.isnan(score)
        return score > self.best


def state_from_json(value: Any) -> State:
    """Return the state from the content of state.json.

    Raises:
        ValueError: a number of the wrong kind.
        TypeError: an unknown key, or the content is no object.
    """
    state = State(**value)
    seeds = [number for seed in state.seeds or () for number in seed]
    whole = (state.step, state.best_epoch, state.waited, state.batch_size or 0, *seeds)
    scores = [score for logs in state.history for score in dict(logs).values()]
    scores += [value for values in state.metrics or () for value in values]
    right = all(type(number) is int and number >= 0 for number in whole)
    right = right and type(state.by_loss) is bool
    if not right or not all(type(score) in (int, float) for score in [state.best or 0.0, *scores]):
        raise ValueError("state.json: expected whole numbers of 0 or more, a score, and logs with a number by name")
    return state


# === Metrics of an interrupted epoch: Keras resets them in every call of ``fit``, but their sums can be added up ===


def sums(model: keras.Model) -> list[list[float]]:
    """Return the sums of a model's metrics since their last reset, each variable flat."""
    return [np.ravel(keras.ops.convert_to_numpy(each)).tolist() for each in model.metrics_variables]


def add_sums(model: keras.Model, before: Sequence[Sequence[float]]) -> None:
    """Add earlier sums, from `sums`, to a model's metrics.

    Raises:
        TrainingError: the sums are those of other metrics.
    """
    variables = model.metrics_variables
    if [int(np.prod(each.shape)) for each in variables] != [len(values) for values in before]:
        raise TrainingError(
            "The checkpoint holds sums of other metrics than the model has. The code may have changed since; start a "
            "new run, or check out the revision named in run.json."
        )
    for variable, values in zip(variables, before, strict=True):
        earlier = np.array(values, variable.dtype).reshape(variable.shape)
        variable.assign(keras.ops.convert_to_numpy(variable) + earlier)


# === Weights ===


class _Memory(io.BytesIO):
    """A file in memory, with a name that Keras accepts.

    On a full disk HDF5 keeps the data that it could not write, and crashes when it tries again as the process ends.
    """

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_weights(model: keras.Model, path: Path) -> None:
    """Write the weights of a model, and of its optimizer if it is compiled, as ``Model.save_weights`` does.

    Raises:
        OSError: the file cannot be written.
    """
    content = _Memory()
    model.save_weights(content)
    write_bytes(path, content.getvalue())
