"""Cluster bootstrap of any task's metrics: groups of samples are drawn with replacement, whole.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 8. Outputs on the same samples are resampled
with the same counts when their seeds agree, so that the difference of their draws is paired. `mmkeras.evaluation.draws`
makes intervals of the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.evaluation.decompositions import Decomposition, decompositions, matching
from mmkeras.evaluation.draws import Draws, Interval, Support
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["SLOW_RESAMPLES", "Bootstrap", "Draws", "Interval", "paired_error"]

SLOW_RESAMPLES = 100
"""Resamples of a metric that has no decomposition: the task's ``resampler`` or ``score`` computes it each time."""
_CHUNK = 8_000_000


@dataclass(frozen=True)
class Bootstrap:
    """The settings of all resampling in one evaluation."""

    resamples: int = 1000
    """Resamples behind every interval."""
    confidence: float = 0.95
    """Coverage of the intervals."""
    seed: int = 0
    """Seed of the resamples."""

    def counts(self, groups: int) -> Iterator[np.ndarray]:
        """Yield float32 (r, G) blocks: how often each group stands in each of r resamples; R rows in all."""
        generator = np.random.default_rng(self.seed)
        rows = max(1, min(self.resamples, _CHUNK // max(groups, 1)))
        for start in range(0, self.resamples, rows):
            block = min(rows, self.resamples - start)
            picks = generator.integers(0, groups, (block, groups), dtype=np.int64)
            picks += np.arange(block)[:, None] * groups
            flat = np.bincount(picks.ravel(), minlength=block * groups)
            yield flat.reshape(block, groups).astype(np.float32)

    def decomposed(
        self, parts: Mapping[str, Decomposition], weights: np.ndarray, groups: np.ndarray | None = None
    ) -> Draws:
        """Score and resample decomposed metrics.

        Args:
            parts: metrics over the same N samples.
            weights: sample weights (N,).
            groups: number of each sample's group (N,); every sample is a group of its own when not given.
        """
        members = _Members(groups, weights)
        support = Support.of(members.sums(members.weights[:, None])[:, 0])
        values = {name: part.point(weights) for name, part in parts.items()}
        draws: dict[str, list[np.ndarray]] = {name: [] for name in parts}
        left_out: dict[str, np.ndarray] = {}
        # Several metrics share their sums (the class counts above all): multiply each array once.
        arrays = {id(part.contributions): part.contributions for part in parts.values()}
        if arrays:
            ends = np.cumsum([array.shape[1] for array in arrays.values()])
            spans = {key: slice(end - arrays[key].shape[1], end) for key, end in zip(arrays, ends, strict=True)}
            sums = members.sums(np.concatenate(list(arrays.values()), axis=1) * members.weights[:, None])
            without = _without_each(sums)
            left_out = {name: part.finish(without[:, spans[id(part.contributions)]]) for name, part in parts.items()}
            single = sums.astype(np.float32)
            for counts in self.counts(members.count):
                block = (counts @ single).astype(np.float64)
                for name, part in parts.items():
                    draws[name].append(part.finish(block[:, spans[id(part.contributions)]]))
        supports = {
            name: Support.of(members.sums((part.counted * members.weights)[:, None])[:, 0])
            for name, part in parts.items()
            if part.counted is not None
        }
        return Draws(
            values=values,
            draws={name: np.concatenate(blocks) for name, blocks in draws.items()},
            methods=dict.fromkeys(parts, "bootstrap"),
            confidence=self.confidence,
            support=support,
            supports=supports,
            left_out=left_out,
        )

    def score(
        self,
        task: TaskSpec,
        targets: np.ndarray,
        outputs: Outputs,
        weights: np.ndarray | None = None,
        groups: np.ndarray | None = None,
        only: Collection[str] = (),
    ) -> Draws:
        """Score outputs and every resample of them.

        Args:
            task: gives the metrics.
            targets: encoded targets (N, ...).
            outputs: model outputs (N, ...) by name.
            weights: sample weights (N,); ones when not given.
            groups: number of each sample's group (N,); every sample is a group of its own when not given.
            only: names of the metrics that are wanted; all when empty.

        Raises:
            DataError: there are no samples.
        """
        if not len(targets):
            raise DataError("Expected at least one sample to evaluate, got none. Check the split and its conversion.")
        if weights is None:
            weights = np.ones(len(targets), np.float32)
        resampler = getattr(task, "resampler", None)
        weighted = resampler(targets, outputs) if resampler else None
        scores = weighted(weights) if weighted else task.score(targets, outputs, weights)
        values = {name: float(value) for name, value in scores.items() if not only or name in only}
        fast = self.decomposed(matching(decompositions(task, targets, outputs), values, weights), weights, groups)
        slow = [name for name in values if name not in fast.values]
        draws = fast.draws
        if slow:
            draws = draws | self._slow(weighted, task, targets, outputs, _Members(groups, weights), slow)
        methods = {**fast.methods, **dict.fromkeys(slow, "bootstrap-slow")}
        return Draws(values, draws, methods, self.confidence, fast.support, fast.supports, fast.left_out)

    def _slow(
        self,
        weighted: Callable[[np.ndarray], Mapping[str, float]] | None,
        task: TaskSpec,
        targets: np.ndarray,
        outputs: Outputs,
        members: _Members,
        names: list[str],
    ) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(self.seed)
        rows: list[list[float]] = []
        for _ in range(min(self.resamples, SLOW_RESAMPLES)):
            # The same picks as `counts` makes, so that slow and fast metrics are compared on the same
            # resamples.
            picks = generator.integers(0, members.count, members.count, dtype=np.int64)
            times = np.bincount(picks, minlength=members.count)[members.of]
            if weighted:
                scores = weighted(times * members.weights)
            else:
                rest = np.repeat(np.arange(len(targets)), times)
                sample = {name: value[rest] for name, value in outputs.items()}
                scores = task.score(targets[rest], sample, members.weights[rest])
            rows.append([scores.get(name, np.nan) for name in names])
        return {
            name: np.asarray(column, np.float64) for name, column in zip(names, zip(*rows, strict=True), strict=True)
        }


def paired_error(
    task: TaskSpec,
    targets: np.ndarray,
    weights: np.ndarray | None,
    groups: np.ndarray | None,
    reference: Outputs,
    outputs: Outputs,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> float:
    """Return the standard error of the difference of the task's metric between two models on the same samples.

    Args:
        task: scores.
        targets: encoded targets (N, ...).
        weights: sample weights (N,); ones when not given.
        groups: number of each sample's group (N,), see `mmkeras.evaluation.Samples`; every sample is a group of its own
            when not given.
        reference: outputs (N, ...) of one model.
        outputs: outputs (N, ...) of the other model.
        resamples: draws of the groups; at most `SLOW_RESAMPLES` of a metric without a decomposition.
        seed: of the draws.

    Returns:
        The error in the metric's unit. 0 where it cannot be told: a single group, or a metric that hardly any draw
        defines (among few samples a draw may hold no object at all).

    Raises:
        DataError: there are no samples.
    """
    bootstrap = Bootstrap(resamples, seed=seed)
    before, after = (
        bootstrap.score(task, targets, each, weights, groups, only=(task.metric,)) for each in (reference, outputs)
    )
    error = after.difference_error(before, task.metric)
    return error if np.isfinite(error) else 0.0


class _Members:
    """Which group each of N samples is in, the groups numbered from 0. Samples without weight are in no group."""

    def __init__(self, groups: np.ndarray | None, weights: np.ndarray) -> None:
        self.weights = np.asarray(weights, np.float64)
        names = np.arange(len(weights)) if groups is None else np.asarray(groups)
        weighs = self.weights > 0 if self.weights.any() else np.ones(len(weights), bool)
        known, numbers = np.unique(names[weighs], return_inverse=True)
        self.count = len(known)
        self.of = np.zeros(len(weights), np.int64)  # what weighs nothing adds nothing to group 0
        self.of[weighs] = numbers.reshape(-1)
        self._order = np.argsort(self.of, kind="stable")
        self._starts = np.searchsorted(self.of[self._order], np.arange(self.count))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Add up values (N, K) within each group, float64 (G, K)."""
        summed: np.ndarray = np.add.reduceat(values.astype(np.float64)[self._order], self._starts, axis=0)
        return summed


def _without_each(sums: np.ndarray) -> np.ndarray:
    """Return what is left of the total of sums (G, K) without each group, (G, K)."""
    total = sums.sum(axis=0)
    left = total - sums
    # What rounding leaves of a sum that one group alone makes up would count as a class that is present.
    left[np.abs(left) <= 1e-9 * np.abs(sums).sum(axis=0)] = 0.0
    return left
