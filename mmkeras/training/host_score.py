"""Validation metrics that only the task itself can compute, on the host, from decoded answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmkeras.tasks import TaskSpec
from mmkeras.training.cluster.connect import ALONE, Cluster

__all__ = ["HostScore"]


class HostScore(keras.callbacks.Callback):
    """Adds ``val_<metric>`` for every metric of `TaskSpec.score` to an epoch's logs.

    For tasks such as detection, whose metric is no sum over samples that Keras could keep. It stands before the
    callbacks that read the logs. With an exponential moving average it sees the averaged weights, as validation does.

    Of several workers each asks the model for its own part; the chief scores them together and tells the others.

    Args:
        validation: batches ``(inputs, targets by output, weights)``.
        task: gives the metrics.
        asked: returns the model to ask for the trained one: a copy where that is spread over replicas.
        cluster: the workers that share the validation split.
        folder: the stage's folder, through which they hand their answers to the chief.
    """

    def __init__(
        self,
        validation: tf.data.Dataset,
        task: TaskSpec,
        asked: Callable[[keras.Model], keras.Model] = lambda model: model,
        cluster: Cluster = ALONE,
        folder: Path = Path(),
    ) -> None:
        super().__init__()
        self._validation = validation
        self._task = task
        self._asked = asked
        self._cluster = cluster
        self._folder = folder
        self._scored = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Ask the model for all validation answers and score them."""
        del epoch
        if logs is None:
            return
        model = self._asked(self.model)
        parts: list[dict[str, np.ndarray]] = []
        for inputs, target, weight in self._validation:
            outputs = {f"output/{name}": value for name, value in model.predict_on_batch(inputs).items()}
            parts.append({**outputs, "target": self._task.rows_of(target), "weight": weight.numpy()})
        if self._cluster.members is None:
            logs.update(self._score(parts))
            return
        self._scored += 1
        if not self._cluster.chief:
            file = self._place(self._cluster.rank)
            file.parent.mkdir(parents=True, exist_ok=True)
            answers = {f"{step}/{name}": value for step, part in enumerate(parts) for name, value in part.items()}
            # Not allow_pickle=False: numpy 1.26 would store that as one more array.
            np.savez(file, **answers)  # type: ignore[arg-type]
        self._cluster.barrier(f"answers/{self._folder.name}/{self._scored}")
        found = {}
        if self._cluster.chief:
            whole = [parts, *(self._read(rank) for rank in range(1, self._cluster.workers))]
            here = self._cluster.replicas_here
            steps = range(0, len(parts), here)
            found = self._score([part for first in steps for mine in whole for part in mine[first : first + here]])
        logs.update(
            json.loads(self._cluster.from_chief(f"score/{self._folder.name}/{self._scored}", json.dumps(found)))
        )

    def _score(self, parts: list[dict[str, np.ndarray]]) -> dict[str, float]:
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        outputs = {name.removeprefix("output/"): value for name, value in whole.items() if name.startswith("output/")}
        score = self._task.score(whole["target"], outputs, whole["weight"])
        return {f"val_{name}": float(value) for name, value in score.items() if np.isfinite(value)}

    def _place(self, rank: int) -> Path:
        return self._folder / "workers" / str(rank) / "answers.npz"

    def _read(self, rank: int) -> list[dict[str, np.ndarray]]:
        parts: dict[int, dict[str, Any]] = {}
        with np.load(self._place(rank)) as file:
            for key in file.files:
                step, _, name = key.partition("/")
                parts.setdefault(int(step), {})[name] = file[key]
        self._place(rank).unlink()
        return [parts[step] for step in sorted(parts)]
