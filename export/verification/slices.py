"""The task's metric of an exported file slice by slice, beside the Keras model's: a loss may hide in one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from export.verification.results import SliceResult
from export.verification.standard_error import metric_error
from mmkeras.evaluation.slices import FEW_SAMPLES, group_column
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import Evidence, rows_of

__all__ = ["Slices"]


class Slices:
    """Groups of samples that share a value of a column, with enough of them to say something."""

    def __init__(
        self,
        task: TaskSpec,
        columns: Sequence[Mapping[str, str]],
        weights: np.ndarray,
        depends: np.ndarray,
    ) -> None:
        """Group the samples by every column that the data brings.

        Args:
            task: scores.
            columns: of each sample, value by column.
            weights: sample weights (N,).
            depends: number of each sample's group (N,): those that depend on each other.
        """
        self._task, self._weights, self._depends = task, weights, depends
        self._groups: dict[str, np.ndarray] = {}
        for column in sorted({name for each in columns for name in each}):
            groups, _ = group_column(column, np.array([each.get(column, "") for each in columns]))
            for value in np.unique(groups):
                inside = groups == value
                # A slice of everything is the scenario itself.
                if FEW_SAMPLES <= inside.sum() < len(groups) and weights[inside].sum() > 0:
                    self._groups[f"{column} = {value}"] = inside

    def compare(self, reference: Evidence, evidence: Evidence, flips: np.ndarray) -> tuple[SliceResult, ...]:
        """Score every slice, the one that lost most first.

        Args:
            reference: evidence of the Keras model.
            evidence: evidence of the file.
            flips: bool (N,): changed decisions.
        """
        sign = self._task.metric_sign
        results = []
        for name, inside in self._groups.items():
            sides = [rows_of(each, inside) for each in (reference, evidence)]
            weights = self._weights[inside]
            before, metric = (self._task.finish(side, weights)[self._task.metric] for side in sides)
            # A slice without a changed decision has not lost anything.
            before = before if flips[inside].any() else metric
            # A slice without any object has no metric to lose.
            if not np.isnan(before):
                error = metric_error(self._task, weights, self._depends[inside], *sides) if metric != before else 0.0
                flipped = int(flips[inside].sum())
                results.append(SliceResult(name, int(inside.sum()), flipped, metric, metric - before, error))
        return tuple(sorted(results, key=lambda result: sign * result.metric_change))
