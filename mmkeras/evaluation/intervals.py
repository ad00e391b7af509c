"""Cluster bootstrap of any task's metrics: groups of samples are drawn with replacement, whole.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 8. Outputs on the same samples are resampled
with the same counts when their seeds agree, so that the difference of their draws is paired. `mmkeras.evaluation.draws`
makes intervals of the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mmkeras.core.errors import DataError
from mmkeras.evaluation.decompositions import Decomposition, decompositions, matching, reweighted
from mmkeras.evaluation.draws import Draws, Interval, Support
from mmkeras.evaluation.members import Members, without_each
from mmkeras.tasks import TaskSpec
from mmkeras.tasks._contract import Outputs

__all__ = ["BLOCKS", "SLOW_RESAMPLES", "Bootstrap", "Draws", "Interval", "paired_error"]

SLOW_RESAMPLES = 100
"""Resamples of a metric that has no decomposition: the task's ``resampler`` or ``score`` computes it each time."""
BLOCKS = 100
"""Blocks of groups that such a metric is computed without, one at a time; each group is one where there are fewer."""
_CHUNK = 8_000_000
_RANKED_CHUNK = 2_000_000


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
        members = Members(groups, weights)
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
            without = without_each(sums)
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
        draws, left_out = fast.draws, dict(fast.left_out)
        if slow:
            members = Members(groups, weights)
            scored = self._slow(weighted, task, targets, outputs, members, {name: values[name] for name in slow})
            resampled = min(self.resamples, SLOW_RESAMPLES)
            draws = draws | {name: each[:resampled] for name, each in scored.items()}
            left_out |= {name: each[resampled:] for name, each in scored.items()}
        methods = {**fast.methods, **dict.fromkeys(slow, "bootstrap-slow")}
        return Draws(values, draws, methods, self.confidence, fast.support, fast.supports, left_out)

    def _slow(
        self,
        weighted: Callable[[np.ndarray], Mapping[str, float]] | None,
        task: TaskSpec,
        targets: np.ndarray,
        outputs: Outputs,
        members: Members,
        values: Mapping[str, float],
    ) -> dict[str, np.ndarray]:
        """Return metrics (R + B,): on R resamples, then without each of B blocks of groups."""
        # The resamples of the fast metrics, so that both kinds can be compared.
        resamples = replace(self, resamples=min(self.resamples, SLOW_RESAMPLES)).counts(members.count)
        times = np.concatenate([*resamples, members.without_each_block(BLOCKS, self.seed)])

        def weights(rows: np.ndarray) -> np.ndarray:
            return np.asarray(rows[..., members.of] * members.weights)

        scores: dict[str, np.ndarray] = {}
        size = max(1, _RANKED_CHUNK // len(targets))
        for name, metric in reweighted(task, targets, outputs).items():
            if name in values and np.isclose(metric(members.weights[None])[0], values[name], equal_nan=True):
                blocks = (times[start : start + size] for start in range(0, len(times), size))
                scores[name] = np.concatenate([metric(weights(block)) for block in blocks])
        rest = [name for name in values if name not in scores]
        rows: list[Mapping[str, float]] = []
        for counts in times if rest else ():
            if weighted:
                rows.append(weighted(weights(counts)))
            else:
                picks = np.repeat(np.arange(len(targets)), counts[members.of].astype(np.int64))
                sample = {name: value[picks] for name, value in outputs.items()}
                rows.append(task.score(targets[picks], sample, members.weights[picks]))
        return scores | {name: np.asarray([row.get(name, np.nan) for row in rows], np.float64) for name in rest}


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
