"""Compares the task's metric of an exported file with the Keras model's in each slice of the data."""

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
    """Slices: samples with the same value of a column, where there are at least `FEW_SAMPLES`."""

    def __init__(
        self,
        task: TaskSpec,
        columns: Sequence[Mapping[str, str]],
        weights: np.ndarray,
        depends: np.ndarray,
    ) -> None:
        """Divide the samples by every column of the data.

        ``columns`` are the values of each sample by column, ``weights`` the sample weights (N,), and ``depends`` the
        numbers (N,) of the groups of samples that depend on each other.
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
        """Return the result of every slice, the largest loss first; ``flips`` (N,) are the changed decisions."""
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
