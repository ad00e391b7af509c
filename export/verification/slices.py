"""The task's metric of an exported file slice by slice, beside the Keras model's: a loss may hide in one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from export.verification.results import SliceResult
from export.verification.standard_error import metric_error
from mmkeras.evaluation.slices import FEW_SAMPLES, group_column
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["Slices"]


class Slices:
    """Groups of samples that share a value of a column, with enough of them to say something."""

    def __init__(
        self,
        task: TaskSpec,
        columns: Sequence[Mapping[str, str]],
        targets: np.ndarray,
        weights: np.ndarray,
        depends: np.ndarray,
    ) -> None:
        """Group the samples by every column that the data brings.

        Args:
            task: scores.
            columns: of each sample, value by column.
            targets: encoded targets (N, ...).
            weights: sample weights (N,).
            depends: number of each sample's group (N,): those that depend on each other.
        """
        self._task, self._targets, self._weights, self._depends = task, targets, weights, depends
        self._groups: dict[str, np.ndarray] = {}
        for column in sorted({name for each in columns for name in each}):
            groups, _ = group_column(column, np.array([each.get(column, "") for each in columns]))
            for value in np.unique(groups):
                inside = groups == value
                # A slice of everything is the scenario itself.
                if FEW_SAMPLES <= inside.sum() < len(groups) and weights[inside].sum() > 0:
                    self._groups[f"{column} = {value}"] = inside

    def compare(self, reference: Outputs, outputs: Outputs) -> tuple[SliceResult, ...]:
        """Score every slice, the one that lost most first.

        Args:
            reference: outputs (N, ...) of the Keras model.
            outputs: outputs (N, ...) of the file.
        """
        flips = self._task.flips(reference, outputs)
        sign = self._task.metric_sign
        results = []
        for name, inside in self._groups.items():
            metric = self._score(outputs, inside)
            # A slice without a changed decision has not lost anything.
            before = self._score(reference, inside) if flips[inside].any() else metric
            # A slice without any object has no metric to lose.
            if not np.isnan(before):
                sides = [
                    {key: np.asarray(value)[inside] for key, value in each.items()} for each in (reference, outputs)
                ]
                known = self._targets[inside], self._weights[inside], self._depends[inside]
                error = metric_error(self._task, *known, *sides) if metric != before else 0.0
                flipped = int(flips[inside].sum())
                results.append(SliceResult(name, int(inside.sum()), flipped, metric, metric - before, error))
        return tuple(sorted(results, key=lambda result: sign * result.metric_change))

    def _score(self, outputs: Outputs, inside: np.ndarray) -> float:
        part = {name: np.asarray(value)[inside] for name, value in outputs.items()}
        return float(self._task.score(self._targets[inside], part, self._weights[inside])[self._task.metric])
