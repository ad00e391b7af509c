"""Metrics of parts of the test set, by the columns of the data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmkeras.core.errors import ConfigError, nearest
from mmkeras.evaluation.intervals import Bootstrap, Draws
from mmkeras.evaluation.samples import Samples
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._evidence import Evidence, rows_of

__all__ = ["FEW_SAMPLES", "MAX_VALUES", "group_column", "slice_metrics", "worst_slices"]

FEW_SAMPLES = 30
"""A slice with fewer samples is flagged, since its metrics are uncertain."""
MAX_VALUES = 40
"""Most values of one column that are reported."""
OTHER = "(other values)"
EMPTY = "(empty)"


def group_column(name: str, values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the groups of a column.

    Up to `MAX_VALUES` distinct values are groups of their own. More numbers are divided into four groups of about equal
    size; of more other values the most frequent are kept and the rest is one group.

    Args:
        name: the column, for the remark.
        values: strings (N,).

    Returns:
        The group of each sample (N,), empty if the column has no useful groups; and a remark, empty if the values are
        the groups.
    """
    values = np.where(values == "", EMPTY, values)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= MAX_VALUES:
        return values, ""
    numbers = _as_numbers(values)
    if numbers is not None:
        edges = np.unique(np.nanquantile(numbers, [0, 0.25, 0.5, 0.75, 1]))
        place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, max(len(edges) - 2, 0))
        words = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
        groups = np.asarray([EMPTY if np.isnan(x) else words[i] for x, i in zip(numbers, place, strict=True)])
        return groups, f"Column {name!r} has {len(distinct)} numbers; it is reported in {len(words)} ranges."
    if len(distinct) > len(values) / 2:
        return values[:0], (
            f"Column {name!r} is not reported: {len(distinct)} distinct values in {len(values)} samples "
            "name the samples rather than group them."
        )
    kept = distinct[np.argsort(-counts, kind="stable")[: MAX_VALUES - 1]]
    groups = np.where(np.isin(values, kept), values, OTHER)
    return groups, f"Column {name!r} has {len(distinct)} values; the {len(kept)} most frequent are reported apart."


def _as_numbers(values: np.ndarray) -> np.ndarray | None:
    try:
        return np.asarray([np.nan if value == EMPTY else float(value) for value in values])
    except ValueError:
        return None


def slice_metrics(
    samples: Samples,
    evidence: Evidence,
    task: TaskSpec,
    whole: Draws,
    bootstrap: Bootstrap,
    columns: Sequence[str] = (),
) -> tuple[dict[str, Any], list[str]]:
    """Score every group of every column.

    Args:
        samples: the samples.
        evidence: of the whole model on them.
        task: computes the metrics.
        whole: scores on all samples.
        bootstrap: settings of the resampling.
        columns: columns to report by; all if empty.

    Returns:
        ``{column: {value: {metric: interval, "samples", "few", "worse"}}}``, and remarks. In every column the worst
        value of the primary metric is first, and values with few samples are last.

    Raises:
        ConfigError: a column that the data does not have.
    """
    unknown = [name for name in columns if name not in samples.columns]
    if unknown:
        raise ConfigError(
            "\n".join(f"evaluate.slices: no column {name!r}; {nearest(name, samples.columns)}" for name in unknown)
        )
    result: dict[str, Any] = {}
    remarks: list[str] = []
    for column in columns or samples.columns:
        groups, remark = group_column(column, samples.columns[column])
        if remark:
            remarks.append(remark)
        if not len(groups):
            continue
        entries = {}
        for value in np.unique(groups):
            inside = groups == value
            if not samples.weights[inside].sum() > 0:
                remarks.append(f"{column} = {value} is not reported: its samples have no weight.")
                continue
            part = rows_of(evidence, inside)
            draws = bootstrap.score(task, part, samples.weights[inside], samples.groups[inside])
            entries[str(value)] = _entry(draws, int(inside.sum()), task, whole)
        order = sorted(entries.items(), key=lambda item: _order(item[1], task.metric, task.metric_sign))
        result[column] = dict(order)
    return result, remarks


def _entry(draws: Draws, count: int, task: TaskSpec, whole: Draws) -> dict[str, Any]:
    primary = draws.interval(task.metric)
    pessimist = primary.high if task.metric_sign > 0 else -primary.low
    worse = bool(pessimist < task.metric_sign * whole.values[task.metric])
    metrics = {name: interval.to_json() for name, interval in draws.intervals().items()}
    return {**metrics, "samples": count, "few": count < FEW_SAMPLES, "worse": worse}


def _order(entry: Mapping[str, Any], metric: str, sign: int) -> tuple[bool, float]:
    value = entry[metric]["value"]
    return entry["few"], sign * (np.inf if value is None else value)


def worst_slices(
    slices: Mapping[str, Mapping[str, Any]], metric: str, sign: int
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return ``column = value`` and entry of each slice with a value of the metric, in the order of `slice_metrics`."""
    rows = [
        (f"{column} = {value}", entry)
        for column, values in slices.items()
        for value, entry in values.items()
        if entry[metric]["value"] is not None
    ]
    return sorted(rows, key=lambda row: _order(row[1], metric, sign))
