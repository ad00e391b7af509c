"""Computes the validation metrics of any task on the host, from evidence, as an evaluation does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import joined
from mmkeras.training.cluster.connect import ALONE, Cluster

__all__ = ["HostScore"]

_EVIDENCE = "evidence/"


class HostScore(keras.callbacks.Callback):
    """Adds ``val_<metric>`` for every metric of the task to an epoch's logs.

    It must precede the callbacks that read the logs. With an exponential moving average, it uses the averaged weights,
    as the validation does. It reduces outputs to evidence batch by batch. In a cluster, each worker does this with its
    own part; the chief computes the metrics of all rows and sends them to the others.

    Args:
        validation: batches ``(inputs, targets by output, weights)``.
        task: the task.
        local: returns the model that predicts: the trained one, or a copy of it if replicas share the trained one.
        cluster: the workers that share the validation split.
        folder: the stage's folder, through which workers send their rows to the chief.
    """

    def __init__(
        self,
        validation: tf.data.Dataset,
        task: TaskSpec,
        local: Callable[[keras.Model], keras.Model] = lambda model: model,
        cluster: Cluster = ALONE,
        folder: Path = Path(),
    ) -> None:
        super().__init__()
        self.validation = validation
        self._task = task
        self._local = local
        self._cluster = cluster
        self._folder = folder
        self._scored = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Compute the validation metrics."""
        if logs is None:
            return
        model = self._local(self.model)
        parts: list[dict[str, np.ndarray]] = []
        for inputs, target, weight in self.validation:
            outputs = {name: np.asarray(value) for name, value in model.predict_on_batch(inputs).items()}
            rows = self._task.evidence(self._task.rows_of(target), outputs)
            parts.append({"weight": weight.numpy(), **{_EVIDENCE + name: value for name, value in rows.items()}})
        if self._cluster.members is None:
            logs.update(self._score(parts))
            return
        self._scored += 1
        if not self._cluster.chief:
            file = self._place(self._cluster.rank)
            file.parent.mkdir(parents=True, exist_ok=True)
            rows = {f"{step}/{name}": value for step, part in enumerate(parts) for name, value in part.items()}
            # Not allow_pickle=False: numpy 1.26 would store it as another array.
            np.savez(file, **rows)  # type: ignore[arg-type]
        self._cluster.barrier(f"evidence/{self._folder.name}/{self._scored}")
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
        whole = joined(parts)
        evidence = {k.removeprefix(_EVIDENCE): value for k, value in whole.items() if k.startswith(_EVIDENCE)}
        score = self._task.finish(evidence, whole["weight"])
        return {f"val_{name}": value for name, value in score.items() if np.isfinite(value)}

    def _place(self, rank: int) -> Path:
        return self._folder / "workers" / str(rank) / "evidence.npz"

    def _read(self, rank: int) -> list[dict[str, np.ndarray]]:
        parts: dict[int, dict[str, np.ndarray]] = {}
        with np.load(self._place(rank)) as file:
            for key in file.files:
                step, _, name = key.partition("/")
                parts.setdefault(int(step), {})[name] = file[key]
        self._place(rank).unlink()
        return [parts[step] for step in sorted(parts)]
